"""Settings of the provider that change who gets in: by the provider only, keys brought by hand, and no provider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from keten.core.errors import KetenError
from keten.drills.throwaway import Throwaway
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.provider_protocol import ProviderBegin, ProviderBegun
from tests.functional import organisation as at
from tests.rogue import Rogue
from tests.visitor import Answer, Visitor


def come_back(rogue: Rogue, visitor: Visitor) -> Answer:
    """Out, and back as anna."""
    asked = at.asked(at.out(visitor))
    rogue.nonce, rogue.claims = asked["nonce"], {"email": "anna@rijnstad.example", "amr": ["mfa"]}
    return visitor.get(f"/sign-in/answer?code=c&state={asked['state']}&iss={rogue.issuer}")


def refusal(made: Throwaway, verb: str, body: object, answer: type) -> str:
    """What the keeper answers the console to this, said directly on its socket."""
    with KeeperClient(made.paths.console_socket) as client:
        client.call("people.origin", said.Origin(made.ready["console"]), said.Done)
        with pytest.raises(KetenError) as caught:
            client.call(verb, body, answer)  # type: ignore[arg-type]  # each is a struct
    return caught.value.code


def test_only_there_with_its_own_keys_and_then_no_more(tmp_path: Path) -> None:
    """No passkey signs in at the console, whatever page asks; false keys are not even fetched; a session of a provider
    that was taken out of the settings is over.
    """
    with Rogue() as rogue:
        keys = tmp_path / "keys.json"
        keys.write_text(json.dumps({"keys": [rogue.key.as_dict(private=False)]}))
        more = f'only = true\nkeys_file = "{keys}"\namr = ["mfa"]'
        with at.instance(tmp_path / "keten", rogue.issuer, more) as made:
            visitor = Visitor(made.ready["console"])
            page = visitor.get("/en/sign-in").text
            assert ("passkey.js" in page, "data-passkey" in page, "account at work" in page) == (False, False, True)
            begin = said.SignInBegin("127.0.0.1", "b" * 64)
            assert refusal(made, "people.sign_in_begin", begin, said.Ceremony) == "not-allowed"
            assert come_back(rogue, visitor).status == 200
            assert at.signed_in(visitor)
            known, rogue.key = rogue.key, ECKey.generate_key("P-256", {"kid": str(rogue.key.kid)})
            assert come_back(rogue, Visitor(made.ready["console"])).status == 403
            rogue.key = known
            assert "/keys" not in rogue.asked

            port = made.ready["console"].rpartition(":")[2]
            made.down()
            made.configure("[watch]\nenabled = false\n")
            made.up("--gateway", "off", "--sftp", "off", "--console", f"127.0.0.1:{port}")
            assert not at.signed_in(visitor)
            assert "account at work" not in visitor.get("/en/sign-in").text
            assert visitor.get("/sign-in/answer?code=c&state=s").status == 404
            asked = ProviderBegin("127.0.0.1", "b" * 64)
            assert refusal(made, "people.provider_begin", asked, ProviderBegun) == "provider-unset"
            assert at.state(made).issuer == ""
