"""What may be said of a provider in keten.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keten.core.errors import Invalid
from keten.core.provider import is_address
from keten.core.settings import Settings, load_settings


def loaded(folder: Path, **keys: Any) -> Settings:
    """Settings with this section."""
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for name, value in keys.items()
    ]
    (folder / "keten.toml").write_text("[watch]\nenabled = false\n[oidc]\n" + "\n".join(lines), encoding="utf-8")
    return load_settings(folder, {})


GOOD: dict[str, Any] = {"issuer": "https://login.example/realms/town", "client_id": "keten"}


def test_little_is_enough_and_gives_the_worker_something_to_do(tmp_path: Path) -> None:
    found = loaded(tmp_path, **GOOD)
    assert (found.oidc.claim, found.oidc.match, found.oidc.max_age, found.oidc.only) == ("email", "email", "12h", False)
    assert found.has_work
    assert not loaded(tmp_path).has_work
    more = GOOD | {"acr": ["loa3"], "amr": ["mfa"], "max_age": "", "claim": "sub", "match": "name", "only": True}
    assert loaded(tmp_path, **more).oidc.acr == ("loa3",)
    files = loaded(tmp_path, **GOOD, ca="ca.pem", keys_file="keys.json", secret_file="secret")
    assert {"ca.pem", "keys.json"} <= set(files.kept_files)
    assert "secret" not in files.kept_files
    assert "secret" in files.named_files


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"issuer": ""}, "issuer is missing"),
        ({"issuer": "http://login.example"}, "not an address"),
        ({"issuer": "https://login.example?x"}, "not an address"),
        ({"client_id": ""}, "client_id is missing"),
        ({"client_id": "kéten"}, "client_id"),
        ({"name": "n" * 61}, "at most 60"),
        ({"claim": "e mail"}, "not the name of a claim"),
        ({"claim": "upn"}, "goes with claim 'email'"),
        ({"claim": "sub", "match": "name", "trust_email": True}, "trust_email"),
        ({"match": "phone"}, "Invalid enum value"),
        ({"acr": ["a b"]}, "without spaces"),
        ({"amr": [""]}, "without spaces"),
        ({"algorithms": ["HS256"]}, "algorithms are some of"),
        ({"algorithms": ["none"]}, "algorithms are some of"),
        ({"algorithms": []}, "algorithms are some of"),
        ({"max_age": "soon"}, "max_age"),
        ({"secret": "s"}, "unknown field"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid) as caught:
        loaded(tmp_path, **(GOOD | wrong))
    assert says in caught.value.public


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://a.example", True),
        ("https://a.example:8443/x", True),
        ("http://localhost:9000", True),
        ("http://127.0.0.1", True),
        ("http://a.example", False),
        ("https://u@a.example", False),
        ("https://a.example/?q", False),
        ("https://a.example/#f", False),
        ("https://a.example:0", False),
        ("https://a.example:x", False),
        ("https:///x", False),
        ("https://a.example/a b", False),
        ("https://a.example/\n", False),
        ("https://[::1", False),
        ("https://é.example", False),
        ("", False),
    ],
)
def test_addresses(text: str, good: bool) -> None:
    assert is_address(text) is good
