"""Sign-in as the keeper goes through it: check, record, hand out, and check again at every use."""

from __future__ import annotations

import base64
import os

import msgspec
import pytest
from sqlalchemy import func, select

from keten.core.errors import Busy, Corrupt, Denied, Unavailable
from keten.core.ids import new_id
from keten.core.settings import Limits
from keten.identity.errors import PUBLIC, Refused
from keten.identity.model import Client, Ended
from keten.identity.proof_tables import used_proofs
from keten.identity.service import Principal, SignIn
from keten.keeper.protocol import Caller, HttpProof, SessionProof, TokenRequest
from tests.unit.identity.keeping import LONG_AGO, ROOT, Keeper, refusal
from tests.unit.identity.signing import (
    ISSUER,
    NOW,
    NOW_S,
    OBJECT_URL,
    TOKEN_URL,
    ClientKey,
    EcKey,
    assertion,
    http_proof,
    proof,
    ssh_sign_in,
    token_request,
)

KEY = ClientKey()
DPOP = ClientKey()


def test_another_clock_was_accepted(keeper: Keeper) -> None:
    """Nonces and sessions of before are void, and a nonce is asked for until the newest entry is past."""
    client = keeper.register(KEY)
    nonce = keeper.sign_in.nonces.current(NOW)
    session = keeper.sign_in.open_session(keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW), NOW)
    newest = NOW + 3_600_000_000
    keeper.sign_in.clock_accepted(newest)
    assert not keeper.sign_in.nonces.valid(nonce, NOW)
    assert keeper.sign_in.nonces.required(newest)
    assert keeper.sign_in.nonces.valid(keeper.sign_in.nonces.current(NOW), NOW)
    with pytest.raises(Refused) as caught:
        keeper.sign_in.check_session(SessionProof(session.id), NOW)
    assert caught.value.code == "session-ended"
    assert len(keeper.sign_in.sessions) == 0


# ---- HTTPS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dpop_key", [DPOP, EcKey(), KEY], ids=["EdDSA", "ES256", "the same key"])
def test_the_whole_way(keeper: Keeper, dpop_key: ClientKey) -> None:
    client = keeper.register(KEY)
    signed_in = keeper.sign_in.check_assertion(token_request(KEY, client.id, dpop_key), client, NOW)
    payload = keeper.record(signed_in)
    issued = keeper.sign_in.issue(signed_in, NOW)
    assert issued.expires_in == 300
    assert payload.kind == "identity.client.signed_in"
    assert (payload.actor, payload.subjects, payload.refs) == (client.id, (client.id,), {"supplier": client.supplier})
    assert payload.details == {
        "method": "private_key_jwt",
        "key": KEY.public.fingerprint,
        "vouched": False,
        "session": signed_in.hashed.hex(),
        "serial": signed_in.serial,
    }
    principal = keeper.sign_in.check_http(http_proof(dpop_key, issued.access_token, nonce=issued.nonce), NOW)
    assert principal == Principal(
        client.id,
        client.supplier,
        KEY.public.fingerprint,
        "https",
        signed_in.serial,
        NOW + 300_000_000,
        dpop_key.thumbprint(),
        began_us=NOW,
    )


def test_what_is_recorded_opens_nothing(keeper: Keeper) -> None:
    """Neither token nor assertion can be read from the ledger (law 9)."""
    client = keeper.register(KEY)
    request = token_request(KEY, client.id, DPOP)
    signed_in = keeper.sign_in.check_assertion(request, client, NOW)
    written = msgspec.json.encode(keeper.record(signed_in)).decode()
    token = keeper.sign_in.issue(signed_in, NOW).access_token
    for secret in (token, request.assertion, request.dpop, *request.assertion.split(".")):
        assert secret not in written


def test_the_client_id_may_be_left_out(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    request = token_request(KEY, client.id, DPOP, client_id="")
    assert keeper.sign_in.claimed_client(request) == client.id
    assert keeper.sign_in.check_assertion(request, client, NOW).client_id == client.id


def test_an_assertion_counts_once(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    made = assertion(KEY, client.id)
    keeper.sign_in.check_assertion(token_request(KEY, client.id, DPOP, assertion=made), client, NOW)
    again = token_request(KEY, client.id, DPOP, assertion=made)
    error = refusal(lambda: keeper.sign_in.check_assertion(again, client, NOW + 1))
    assert (error.code, error.client_id, error.proven) == ("proof-replayed", client.id, False)


def test_an_assertion_counts_once_also_after_a_restart(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    made = assertion(KEY, client.id)
    keeper.record(keeper.sign_in.check_assertion(token_request(KEY, client.id, DPOP, assertion=made), client, NOW))
    keeper.start(LONG_AGO)
    again = token_request(KEY, client.id, DPOP, assertion=made)
    signed_in = keeper.sign_in.check_assertion(again, client, NOW + 1)
    size = keeper.head.size
    assert refusal(lambda: keeper.record(signed_in)).code == "proof-replayed"
    assert keeper.head.size == size
    with keeper.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(used_proofs)).scalar_one() == 1


def test_a_dpop_proof_counts_once_at_the_token_endpoint(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    shown = proof(DPOP, htm="POST", htu=TOKEN_URL)
    keeper.sign_in.check_assertion(token_request(KEY, client.id, DPOP, dpop=shown), client, NOW)
    again = token_request(KEY, client.id, DPOP, dpop=shown)
    assert refusal(lambda: keeper.sign_in.check_assertion(again, client, NOW)).code == "proof-replayed"


def test_who_is_asked_for_a_nonce_may_use_the_assertion_again(keeper: Keeper) -> None:
    keeper.start(NOW)
    client = keeper.register(KEY)
    made = assertion(KEY, client.id)
    first = token_request(KEY, client.id, DPOP, assertion=made)
    error = refusal(lambda: keeper.sign_in.check_assertion(first, client, NOW))
    assert error.code == "use_dpop_nonce"
    shown = proof(DPOP, htm="POST", htu=TOKEN_URL, nonce=error.data["nonce"])
    second = token_request(KEY, client.id, DPOP, assertion=made, dpop=shown)
    keeper.record(keeper.sign_in.check_assertion(second, client, NOW))


def test_unknown_and_wrong_key_look_alike(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    unknown = new_id()
    wrong = refusal(lambda: keeper.sign_in.check_assertion(token_request(ClientKey(), client.id, DPOP), client, NOW))
    absent = refusal(lambda: keeper.sign_in.check_assertion(token_request(KEY, unknown, DPOP), None, NOW))
    assert (wrong.code, wrong.public, wrong.category) == (absent.code, absent.public, absent.category)
    assert (wrong.cause, wrong.client_id, wrong.proven) == ("key-unknown", client.id, False)
    assert (absent.cause, absent.client_id, absent.proven) == ("client-unknown", "", False)


@pytest.mark.parametrize(
    "changed",
    [
        {"assertion": ""},
        {"assertion": "x.y.z"},
        {"issuer": "https://evil.example"},
        {"issuer": ""},
        {"url": "https://evil.example/token"},
        {"issuer": "https://evil.example", "url": "https://evil.example/token"},
        {"client_id": new_id()},
    ],
)
def test_whether_a_client_exists_does_not_show_in_other_mistakes(keeper: Keeper, changed: dict[str, str]) -> None:
    client = keeper.register(KEY)
    request = msgspec.structs.replace(token_request(KEY, client.id, DPOP), **changed)
    absent = refusal(lambda: keeper.sign_in.check_assertion(request, None, NOW))
    if "client_id" in changed:
        assert (absent.code, absent.client_id) == ("proof-invalid", "")
        return
    known = refusal(lambda: keeper.sign_in.check_assertion(request, client, NOW))
    assert (known.code, known.public) == (absent.code, absent.public) == ("proof-invalid", PUBLIC["proof-invalid"])
    assert (known.client_id, absent.client_id) == (client.id, "")


def test_a_proof_for_another_server_is_not_passed_on_by_a_gateway_that_lies(keeper: Keeper) -> None:
    """The client signs in at evil.example, and a gateway in the attacker's hands says that this is its name."""
    client = keeper.register(KEY)
    request = token_request(
        KEY,
        client.id,
        DPOP,
        assertion=assertion(KEY, client.id, aud="https://evil.example"),
        dpop=proof(DPOP, htm="POST", htu="https://evil.example/token"),
        issuer="https://evil.example",
        url="https://evil.example/token",
    )
    assert refusal(lambda: keeper.sign_in.check_assertion(request, client, NOW)).code == "proof-invalid"
    token = keeper.token(client, KEY, DPOP)
    shown = HttpProof(token, proof(DPOP, token, htu="https://evil.example/v1"), "GET", "https://evil.example/v1")
    assert refusal(lambda: keeper.sign_in.check_http(shown, NOW)).code == "proof-invalid"


def test_without_a_public_url_the_gateway_is_believed(keeper: Keeper) -> None:
    sign_in = SignIn(ROOT, keeper.clients.get, Limits(), LONG_AGO)
    client = keeper.register(KEY)
    issuer = "https://127.0.0.1:40123"
    request = token_request(
        KEY,
        client.id,
        DPOP,
        assertion=assertion(KEY, client.id, aud=issuer),
        dpop=proof(DPOP, htm="POST", htu=f"{issuer}/token"),
        issuer=issuer,
        url=f"{issuer}/token",
    )
    assert sign_in.check_assertion(request, client, NOW).client_id == client.id


def issued_for(client: Client, issuer: str, url: str) -> TokenRequest:
    """A request that is good in itself, for any issuer and token endpoint."""
    return token_request(
        KEY,
        client.id,
        DPOP,
        assertion=assertion(KEY, client.id, aud=issuer),
        dpop=proof(DPOP, htm="POST", htu=url),
        issuer=issuer,
        url=url,
    )


@pytest.mark.parametrize("below", ["/tenant", "/"])
def test_an_issuer_below_ours_is_not_ours(keeper: Keeper, below: str) -> None:
    client = keeper.register(KEY)
    request = issued_for(client, ISSUER + below, f"{ISSUER}{below}/token")
    assert refusal(lambda: keeper.sign_in.check_assertion(request, client, NOW)).code == "proof-invalid"


@pytest.mark.parametrize("url", ["https://evil.example/token", f"{ISSUER}.evil.example/token", ISSUER])
def test_the_token_endpoint_belongs_to_the_issuer(keeper: Keeper, url: str) -> None:
    sign_in = SignIn(ROOT, keeper.clients.get, Limits(), LONG_AGO)
    client = keeper.register(KEY)
    assert (
        refusal(lambda: sign_in.check_assertion(issued_for(client, ISSUER, url), client, NOW)).code == "proof-invalid"
    )


def test_an_ended_client_learns_so_only_by_its_own_key(keeper: Keeper) -> None:
    client = keeper.change(keeper.register(KEY), ended=Ended(NOW - 5, "left", "operator:anna"))
    error = refusal(lambda: keeper.sign_in.check_assertion(token_request(KEY, client.id, DPOP), client, NOW))
    assert (error.code, error.client_id, error.proven) == ("client-ended", client.id, True)
    other = token_request(ClientKey(), client.id, DPOP)
    assert refusal(lambda: keeper.sign_in.check_assertion(other, client, NOW)).code == "key-unknown"


@pytest.mark.parametrize("place", [0, 1])
def test_both_keys_sign_in_while_rotating(keeper: Keeper, place: int) -> None:
    keys = (ClientKey(), ClientKey())
    client = keeper.register(*keys)
    token = keeper.token(client, keys[place], DPOP)
    assert keeper.sign_in.check_http(http_proof(DPOP, token), NOW).key == keys[place].public.fingerprint


def test_taking_a_key_out_ends_its_tokens_and_no_others(keeper: Keeper) -> None:
    old, new = ClientKey(), ClientKey()
    client = keeper.register(old, new)
    of_old, of_new = keeper.token(client, old, DPOP), keeper.token(client, new, DPOP)
    keeper.change(client, keys=(new.public.line,))
    error = refusal(lambda: keeper.sign_in.check_http(http_proof(DPOP, of_old), NOW))
    assert (error.code, error.client_id, error.proven) == ("key-unknown", client.id, True)
    keeper.sign_in.check_http(http_proof(DPOP, of_new), NOW)


def test_ending_a_client_ends_its_tokens_at_once(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)
    keeper.sign_in.check_http(http_proof(DPOP, token), NOW)
    keeper.change(client, ended=Ended(NOW, "left", "operator:anna"))
    error = refusal(lambda: keeper.sign_in.check_http(http_proof(DPOP, token), NOW))
    assert (error.code, error.proven) == ("client-ended", True)


def test_a_client_that_is_gone_from_the_register_is_refused(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)
    del keeper.clients[client.id]
    error = refusal(lambda: keeper.sign_in.check_http(http_proof(DPOP, token), NOW))
    assert (error.code, error.cause) == ("key-unknown", "client-unknown")


def test_a_register_that_does_not_match_the_ledger_is_passed_on(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)

    def damaged(_client_id: str) -> Client | None:
        raise Corrupt("register-mismatch", "A row of the register does not match the ledger.")

    sign_in = SignIn(ROOT, damaged, Limits(), LONG_AGO)
    with pytest.raises(Corrupt):
        sign_in.check_http(http_proof(DPOP, token), NOW)


def test_a_token_counts_for_its_key_address_method_and_time_only(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)
    check = keeper.sign_in.check_http
    assert refusal(lambda: check(http_proof(ClientKey(), token), NOW)).code == "proof-invalid"
    assert refusal(lambda: check(HttpProof(token, "", "GET", OBJECT_URL), NOW)).code == "proof-invalid"
    assert refusal(lambda: check(HttpProof("", proof(DPOP), "GET", OBJECT_URL), NOW)).code == "token-invalid"
    other = f"{ISSUER}/v1/shares"
    assert refusal(lambda: check(HttpProof(token, proof(DPOP, token), "GET", other), NOW)).code == "proof-invalid"
    assert refusal(lambda: check(HttpProof(token, proof(DPOP, token), "HEAD", OBJECT_URL), NOW)).code == "proof-invalid"
    end_s = NOW_S + 300
    late = refusal(lambda: check(http_proof(DPOP, token, iat=end_s), end_s * 1_000_000))
    assert (late.code, late.client_id) == ("token-expired", client.id)


def test_a_stolen_token_is_a_refusal_in_the_clients_name_but_not_its_act(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)
    error = refusal(lambda: keeper.sign_in.check_http(http_proof(ClientKey(), token), NOW))
    assert (error.client_id, error.proven) == (client.id, False)


def test_a_request_counts_once(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    shown = http_proof(DPOP, keeper.token(client, KEY, DPOP))
    keeper.sign_in.check_http(shown, NOW)
    assert refusal(lambda: keeper.sign_in.check_http(shown, NOW)).code == "proof-replayed"


def test_a_token_outlives_a_restart_but_a_shown_proof_does_not(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    token = keeper.token(client, KEY, DPOP)
    shown = http_proof(DPOP, token)
    keeper.sign_in.check_http(shown, NOW)
    keeper.start(NOW)
    error = refusal(lambda: keeper.sign_in.check_http(shown, NOW))
    assert error.code == "use_dpop_nonce"
    keeper.sign_in.check_http(http_proof(DPOP, token, nonce=error.data["nonce"]), NOW)


def test_strangers_do_not_fill_the_memory_of_proofs(keeper: Keeper) -> None:
    for _ in range(5):
        stranger = ClientKey()
        refusal(lambda key=stranger: keeper.sign_in.check_http(http_proof(key, "A" * 188), NOW))  # type: ignore[misc]  # bound at once
        refusal(lambda key=stranger: keeper.sign_in.check_assertion(token_request(key, new_id(), key), None, NOW))  # type: ignore[misc]  # as above
    assert len(keeper.sign_in.dpop.memory) == 0
    assert len(keeper.sign_in._seen) == 0


# ---- callers and refusals ----------------------------------------------------------------------------------------


def test_a_caller_shows_exactly_one_proof(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    shown = http_proof(DPOP, keeper.token(client, KEY, DPOP))
    signed_in = keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW)
    session = SessionProof(keeper.sign_in.open_session(signed_in, NOW).id)
    check = keeper.sign_in.check_caller
    assert refusal(lambda: check(Caller("192.0.2.7"), NOW, "")).code == "proof-invalid"
    assert refusal(lambda: check(Caller("192.0.2.7", shown, session), NOW, "")).code == "proof-invalid"
    assert check(Caller("192.0.2.7", http=shown), NOW, "").via == "https"
    assert check(Caller("192.0.2.7", session=session), NOW, "").via == "sftp"


def test_strangers_are_counted_and_clients_recorded(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    unknown = refusal(lambda: keeper.sign_in.check_assertion(token_request(KEY, new_id(), DPOP), None, NOW))
    wrong = refusal(lambda: keeper.sign_in.check_assertion(token_request(ClientKey(), client.id, DPOP), client, NOW))
    assert keeper.sign_in.refused(unknown, "192.0.2.7", "private_key_jwt", NOW) is None
    draft = keeper.sign_in.refused(wrong, "192.0.2.7", "private_key_jwt", NOW)
    assert draft is not None
    assert (draft.kind.name, draft.actor, draft.subjects) == ("identity.client.refused", "keeper", (client.id,))
    assert draft.details["reasons"] == ["key-unknown"]
    (counted,) = keeper.sign_in.flush(NOW + 60_000_000)
    assert counted.kind.name == "identity.strangers.refused"
    assert (counted.details["network"], counted.details["count"]) == ("192.0.2.0/24", 1)


def test_steps_of_the_protocol_and_overload_are_no_refusals(keeper: Keeper) -> None:
    keeper.start(NOW)
    client = keeper.register(KEY)
    nonce = refusal(lambda: keeper.sign_in.check_assertion(token_request(KEY, client.id, DPOP), client, NOW))
    assert keeper.sign_in.refused(nonce, "192.0.2.7", "token", NOW) is None
    for error in (Busy("keeper-busy", "Too much."), Unavailable("clock-jumped", "Nothing is served.")):
        assert keeper.sign_in.refused(error, "192.0.2.7", "token", NOW) is None
    assert keeper.sign_in.flush(NOW, everything=True) == []


def test_refusals_of_other_rooms_are_recorded_too(keeper: Keeper) -> None:
    own = Refused("contract-ended", public="Access has ended.", client_id="a", proven=True)
    draft = keeper.sign_in.refused(own, "192.0.2.7", "private_key_jwt", NOW)
    assert draft is not None
    assert (draft.actor, draft.details["reasons"]) == ("a", ["contract-ended"])
    other = keeper.sign_in.refused(Denied("keeper-error", "No."), "192.0.2.7", "token", NOW, client_id="a")
    assert other is not None
    assert other.details["reasons"] == ["keeper-error"]
    assert keeper.sign_in.refused(Denied("keeper-error", "No."), "192.0.2.7", "token", NOW) is None


def test_a_flood_of_bad_proofs_is_a_bounded_number_of_entries(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    drafts = 0
    for _ in range(200):
        error = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(ClientKey(), client.id), client, NOW))
        drafts += keeper.sign_in.refused(error, "192.0.2.7", "ssh", NOW) is not None
    assert drafts == 10
    (rest,) = keeper.sign_in.flush(NOW, everything=True)
    assert rest.details["count"] == 190


def test_no_private_reason_repeats_what_was_sent(keeper: Keeper) -> None:
    mark = base64.b64encode(os.urandom(12)).decode()
    client = keeper.register(KEY)
    requests = [
        token_request(KEY, client.id, DPOP, assertion=mark),
        token_request(KEY, client.id, DPOP, dpop=mark),
        token_request(KEY, client.id, DPOP, assertion=assertion(KEY, client.id, aud=mark)),
        token_request(KEY, client.id, DPOP, dpop=proof(DPOP, htm=mark, htu=TOKEN_URL)),
    ]
    for request in requests:
        with pytest.raises(Refused) as caught:
            keeper.sign_in.check_assertion(request, client, NOW)
        assert mark not in str(caught.value)
