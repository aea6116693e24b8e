"""Where events are sent to: what can't be meant is refused, with a sentence that says what."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.core.errors import Invalid
from keten.core.settings import load_settings

SYSLOG = 'name = "soc"\nkind = "syslog"\nurl = "tls://soc.example:6514"\n'
MAIL = 'name = "m"\nkind = "mail"\nurl = "smtp://mail.example"\nsender = "a@x.example"\nto = ["b@x.example"]\n'


def load(tmp_path: Path, *tables: str, more: str = "") -> object:
    text = more + "".join(f"[[export.destinations]]\n{table}\n" for table in tables)
    (tmp_path / "keten.toml").write_text(text)
    return load_settings(tmp_path, {})


@pytest.mark.parametrize(
    "table",
    [
        SYSLOG,
        MAIL,
        'name = "s"\nkind = "splunk"\nurl = "https://splunk.example:8088"\ntoken_file = "t"',
        'name = "o"\nkind = "otlp"\nurl = "http://127.0.0.1:4318"',
        'name = "o"\nkind = "otlp"\nurl = "http://[::1]:4318/v1/logs"',
        'name = "w"\nkind = "webhook"\nurl = "https://hook.example/in"\ntoken_file = "t"',
        'name = "f"\nkind = "file"\nurl = "/var/log/keten.jsonl"\nform = "cef"',
        SYSLOG + 'classes = ["findings", "access"]\nversion = "1.7.0"\nnames = false',
    ],
)
def test_what_is_fine(table: str, tmp_path: Path) -> None:
    load(tmp_path, table)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (SYSLOG.replace("soc", "../x", 1), "a name is"),
        (SYSLOG.replace('"soc"', '""', 1), "a name is"),
        (SYSLOG.replace("syslog", "kafka"), "kind"),
        (SYSLOG.replace("tls://", "https://"), "url is not an address"),
        (SYSLOG.replace(":6514", ""), "HOST:PORT"),
        (SYSLOG.replace("soc.example", "user@soc.example"), "url is not an address"),
        (SYSLOG + 'classes = ["everything"]', "everything"),
        (SYSLOG + 'version = "1.9.0"', "1.9.0"),
        (SYSLOG + "settle_seconds = 0", "settle_seconds"),
        (SYSLOG + "backlog = -1", "backlog"),
        (SYSLOG + 'password = "x"', "password"),
        ('name = "o"\nkind = "otlp"\nurl = "http://collector.example:4318"', "http is for"),
        ('name = "o"\nkind = "otlp"\nurl = "http://127.0.0.1.example:4318"', "http is for"),
        ('name = "o"\nkind = "otlp"\nurl = "https://x.example"\nform = "cef"', "cef"),
        ('name = "s"\nkind = "splunk"\nurl = "https://splunk.example"', "token_file"),
        ('name = "f"\nkind = "file"\nurl = ""', "path of a file"),
        ('name = "f"\nkind = "file"\nurl = "../x"', "path of a file"),
        ('name = "f"\nkind = "file"\nurl = "export/"', "path of a file"),
        ('name = "f"\nkind = "file"\nurl = "db/keten.db"', "own"),
        ('name = "f"\nkind = "file"\nurl = "./keten.toml"', "own"),
        ('name = "f"\nkind = "file"\nurl = "x"\nrotate_bytes = 1', "rotate_bytes"),
        (MAIL.replace("smtp://", "http://"), "url is not an address"),
        (MAIL.replace("b@x.example", "b@x.example\\nBcc: c@y.example"), "addresses such as"),
        (MAIL.replace('sender = "a@x.example"\n', ""), "sender and to"),
        (MAIL + 'user = "a"', "go together"),
    ],
)
def test_what_cannot_be_meant(table: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=why):
        load(tmp_path, table)


def test_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="twice"):
        load(tmp_path, SYSLOG, SYSLOG)


@pytest.mark.parametrize("bind", ["0.0.0.0:9464", "9464", "127.0.0.1", "192.0.2.1:9464", "localhost:99999"])
def test_metrics_are_for_this_machine(bind: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"\[metrics\] bind"):
        load(tmp_path, more=f'[metrics]\nbind = "{bind}"\n')


def test_what_there_is_to_do(tmp_path: Path) -> None:
    def has_work(text: str) -> bool:
        (tmp_path / "keten.toml").write_text(text)
        return load_settings(tmp_path, {}).has_work

    assert has_work('[metrics]\nbind = "127.0.0.1:9464"\n')
    assert has_work(f"[[export.destinations]]\n{SYSLOG}")
    with pytest.raises(Invalid, match="alarm_after"):
        has_work('[export]\nalarm_after = "soon"\n')
