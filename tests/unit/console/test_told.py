"""The settings as the console shows them: each is decided on, and no secret is among them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from keten.console import told
from keten.core.destinations import Destination
from keten.core.settings import Settings, Timestamps, load_settings
from keten.core.sources import SystemPlace

FILE = """
[console]
bind = "127.0.0.1:9000"
[database]
url = "postgresql://keten@db.example/keten?sslmode=verify-full"
[geo]
networks = {"10.0.0.0/8" = "NL"}
[watch.ladder]
misses = {low = "note"}
[[export.destinations]]
name = "chat"
kind = "webhook"
url = "https://hooks.example/services/T0/hunter5"
token_file = "chat.secret"
[[export.destinations]]
name = "mail"
kind = "mail"
url = "smtps://mail.example"
user = "hunter7"
token_file = "mail.secret"
sender = "keten@example.org"
to = ["hunter8@example.org"]
[systems.burgerzaken]
url = "postgresql://keten@bz.example/bz?sslmode=verify-full"
password_file = "bz.secret"
"""


def kinds() -> dict[str, type[msgspec.Struct]]:
    """Every type of a section, or of a part of one."""
    found = {type(value).__name__: type(value) for value in msgspec.structs.astuple(Settings())}
    return {name: kind for name, kind in found.items() if issubclass(kind, msgspec.Struct)} | {
        "Destination": Destination,
        "SystemPlace": SystemPlace,
    }


def test_of_every_setting_it_is_decided_how_it_is_shown() -> None:
    for name, kind in kinds().items():
        decided = [*told.PLAIN.get(name, ()), *told.PLACES.get(name, ()), *told.HIDDEN.get(name, ())]
        parts = ["destinations"] if name == "Export" else []
        assert sorted([*decided, *parts]) == sorted(kind.__struct_fields__), name
        assert len(decided) == len(set(decided))
        for field in told.PLAIN.get(name, ()):
            assert not field.endswith(("url", "password", "secret", "token")) or field == "public_url", (name, field)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "keten.toml").write_text(FILE)
    environment = {"KETEN_CONSOLE__PUBLIC_URL": "https://console.example", "KETEN_HOME": "x", "HOME": "y"}
    return load_settings(tmp_path, environment)


def test_no_secret_is_among_what_is_shown(settings: Settings) -> None:
    shown = repr(told.sections(settings))
    assert "hunter" not in shown
    assert "keten@example.org" not in shown
    for there in ("postgresql://db.example/…", "https://hooks.example/…", "chat.secret", "bz.secret", "smtps://mail"):
        assert there in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://keten:hunter2@db.example/keten?password=hunter3", "postgresql://db.example/…"),
        ("https://u:hunter4@hooks.example:8443/?key=hunter6", "https://hooks.example:8443/…"),
        ("https://hooks.example/", "https://hooks.example"),
        ("sqlite:///folder/file?key=hunter", "sqlite:///folder/file"),
        ("log/events.json", "log/events.json"),
        ("https://[hunter2", "…"),
        ("https://u:p@h:hunter", "…"),
        ("", ""),
    ],
)
def test_of_a_url_only_where_it_leads_is_shown(url: str, shown: str) -> None:
    (found,) = (one for one in told.sections(Settings(timestamps=Timestamps(url=url))) if one.name == "timestamps")
    assert found.settings[0] == told.Setting("url", shown, "")


def test_each_says_where_it_was_said(settings: Settings) -> None:
    found = {(part.name, one.name): one for part in told.sections(settings) for one in part.settings}
    bind = found["console", "bind"]
    assert (bind.value, bind.source) == ("127.0.0.1:9000", "keten.toml")
    assert found["console", "public_url"].source == "KETEN_CONSOLE__PUBLIC_URL"
    assert found["gateway", "bind"] == told.Setting("bind", "", "")
    assert found["limits", "connections"] == told.Setting("connections", "1000", "")
    assert found["geo", "networks"].value == "10.0.0.0/8 = NL"
    assert found["watch", "ladder"].value == "misses = {low = note}"
    assert found["watch", "enabled"] == told.Setting("enabled", "true", "")
    assert found["export.destinations: mail", "user"] == told.Setting("user", "", "keten.toml", hidden=True)
    assert found["export.destinations: chat", "user"] == told.Setting("user", "", "")
    assert found["systems.burgerzaken", "timeout"] == told.Setting("timeout", "3s", "")
    assert found["systems.burgerzaken", "url"].source == "keten.toml"


def test_the_file_cannot_say_where_things_were_said(tmp_path: Path) -> None:
    (tmp_path / "keten.toml").write_text('told = {"gateway.bind" = "nowhere"}\n[gateway]\nbind = "127.0.0.1:1"\n')
    assert load_settings(tmp_path, {}).told["gateway.bind"] == "keten.toml"


def test_a_setting_that_nobody_decided_on_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(told.PLAIN, "Erasure", ())
    found = {(part.name, one.name): one for part in told.sections(Settings()) for one in part.settings}
    assert found["erasure", "approvers"] == told.Setting("approvers", "", "", hidden=True)
