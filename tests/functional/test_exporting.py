"""Events of a running instance at receivers of every kind, one of them with a wrong certificate."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from keten.drills.neighbours import until
from keten.keeper.follow_protocol import Follow, Following
from tests.receivers import Trust, free_port, lines
from tests.town import SETTINGS, Town
from tests.unit.watch.export.rigs import MailRig, OtlpRig, Rig, SplunkRig, SyslogRig, WebhookRig


class Watched:
    """A town whose events go to one receiver of each kind. `wrong`: one that presents somebody else's certificate."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        trust, stranger = Trust(folder / "trust"), Trust(folder / "stranger")
        secret = folder / "secret"
        secret.write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
        secret.chmod(0o600)
        self.rigs: dict[str, Rig] = {}
        for name, kind in (
            ("syslog", SyslogRig),
            ("splunk", SplunkRig),
            ("otlp", OtlpRig),
            ("hook", WebhookRig),
            ("mail", MailRig),
        ):
            self.rigs[name] = stack.enter_context(kind(folder, trust, secret))
        self.wrong = stack.enter_context(OtlpRig(folder, stranger, secret))
        tables = [self._table(name, rig, trust) for name, rig in {**self.rigs, "wrong": self.wrong}.items()]
        tables.append('[[export.destinations]]\nname = "file"\nkind = "file"\nurl = "out/events.jsonl"\n')
        self.port = free_port()
        (folder / "town").mkdir()
        self.town = Town(folder / "town")
        self.file = self.town.keten.home / "out" / "events.jsonl"
        own = f'[export]\nalarm_after = "2s"\n[metrics]\nbind = "127.0.0.1:{self.port}"\n'
        self.town.keten.configure(SETTINGS + own + "".join(tables))

    @staticmethod
    def _table(name: str, rig: Rig, trust: Trust) -> str:
        keys = {"name": name, "kind": rig.kind, "url": rig.url, "ca": str(trust.ca), **rig.extra}
        return "[[export.destinations]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())

    def held(self, name: str) -> list[str]:
        """The uids that a receiver has."""
        return [event["metadata"]["uid"] for event in lines(self.file)] if name == "file" else self.rigs[name].uids

    def ledger(self) -> list[str]:
        """The ids of all entries."""
        with self.town.keten.keeper() as client:
            return [entry.id for entry in client.call("ledger.follow", Follow(0), Following).entries]

    def scrape(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with ExitStack() as stack:
        made = Watched(tmp_path_factory.mktemp("watched"), stack)
        stack.enter_context(made.town.keten)
        made.town.start()
        yield made


EVERYTHING = ("syslog", "splunk", "otlp", "hook", "file")


def test_every_entry_is_at_every_receiver(watched: Watched) -> None:
    printer = watched.town.printer()
    shares = json.loads(printer.get("/v1/shares").body)["shares"]
    assert printer.get(f"/v1/objects/{shares[0]['objects'][0]['id']}").status == 200
    assert printer.get("/v1/objects/" + "a" * 26).status == 404
    wanted = set(watched.ledger())
    assert len(wanted) > 20
    for name in EVERYTHING:
        assert until(lambda name=name: set(watched.held(name)) >= wanted, 40), name  # type: ignore[misc]
    events = {event["metadata"]["uid"]: event for event in lines(watched.file)}
    opened = [event for event in events.values() if event["metadata"]["event_code"] == "exchange.object.opened"]
    assert opened[0]["actor"]["user"]["name"] == "drukwerk-batch"
    assert opened[0]["share"] == "voters"
    assert opened[0]["src_endpoint"]["location"] == {"country": "NL"}
    text = watched.file.read_text()
    for personal in ("127.0.0.1", "dpo@gemeente.example", "drukwerk-ops", "Kiezer"):
        assert personal not in text


def test_one_that_cannot_be_trusted_is_an_alarm_at_the_others(watched: Watched) -> None:
    assert until(lambda: any(uid.startswith("failing-wrong-") for uid in watched.held("file")), 40)
    assert watched.wrong.uids == []
    assert until(lambda: any(uid.startswith("failing-wrong-") for uid in watched.held("hook")), 40)
    mail = watched.rigs["mail"]
    assert isinstance(mail, MailRig)
    assert until(lambda: bool(mail.mails), 40)
    assert "Nothing has reached wrong" in mail.mails[0].get_body().get_content()


def test_how_far_they_are(watched: Watched) -> None:
    said = watched.town.keten.run("export", "status", expect=1)
    found = {one["name"]: one for one in said["destinations"]}
    assert set(found) == {*watched.rigs, "file", "wrong"}
    assert "certificate" in found["wrong"]["error"].lower()
    assert found["wrong"]["sent"] == 0
    assert found["file"]["error"] == ""
    assert found["file"]["settled"] > 0
    told = watched.town.keten.run("doctor", expect=1)["findings"]
    assert {"export-failing"} <= {one["code"] for one in told if one["severity"] == "wrong"}
    assert [one for one in told if one["code"] == "export-settings"] == []


def test_an_event_to_try(watched: Watched) -> None:
    for name in ("file", "hook", "otlp", "splunk", "mail", "syslog"):
        told = watched.town.keten.run("export", "test", name)
        assert told["taken"], name
        if name not in {"mail", "splunk"}:
            assert until(lambda told=told, name=name: told["uid"] in watched.held(name))  # type: ignore[misc]
    watched.town.keten.run("export", "test", "wrong", expect=3)
    watched.town.keten.run("export", "test", "nowhere", expect=1)


def test_a_replay_from_an_index_and_from_a_time(watched: Watched) -> None:
    ids = watched.ledger()
    before = watched.held("file").count(ids[3])
    watched.town.keten.run("export", "replay", "file", "--from", "3")
    assert until(lambda: watched.held("file").count(ids[3]) == before + 1)
    assert watched.held("file").count(ids[2]) == before
    entry = next(event for event in lines(watched.file) if event["metadata"]["uid"] == ids[5])
    told = watched.town.keten.run("export", "replay", "file", "--from", entry["metadata"]["original_time"])
    assert told["from"] <= 5
    assert until(lambda: watched.held("file").count(ids[5]) == before + 2)
    watched.town.keten.run("export", "replay", "file", "--from", "yesterday", expect=2)


def test_prometheus_is_told(watched: Watched) -> None:
    size = len(watched.ledger())
    assert until(lambda: f"keten_metrics_entries {float(size)}" in watched.scrape())
    text = watched.scrape()
    assert 'keten_accesses_total{channel="https"}' in text
    assert 'keten_records_charged_total{dataset="voters"}' in text
    assert re.search(r'keten_export_failing_seconds\{destination="wrong"\} [1-9]', text)
    assert re.search(r'keten_export_failing_seconds\{destination="file"\} 0', text)
