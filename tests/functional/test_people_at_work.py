"""People while things change under them: a role that goes, another administrator, an erasure, a restored backup."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.db import reading_engine
from keten.core.errors import KetenError
from keten.core.settings import load_settings
from keten.drills.throwaway import Throwaway
from keten.identity.people_model import Link, Passkey
from keten.identity.people_tables import links, passkeys, person_sessions
from keten.keeper import people_protocol as said
from keten.keeper import protocol
from keten.keeper.client import KeeperClient
from keten.keeper.restorable import Wish
from keten.keeper.restoring import restore
from keten.keeper.subject_protocol import Approve, Erase, Outcome, RequestInfo
from keten.keeper.watch_protocol import AlertHandled, Suspend
from keten.ledger import bound
from keten.ledger.verify import verify
from keten.suppliers.estate import encode
from keten.suppliers.reading import read_file
from keten.watch import alerts as _alerts  # noqa: F401  # declares its rows, or they would not be verified
from tests.authenticator import Authenticator
from tests.functional.test_people import ORIGIN, Face, invite, refusal

ALONE = "[erasure]\napprovers = 1\n"
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: anna, email: a@example.org, roles: [administrator]}
  - {id: bert, email: b@example.org, roles: [administrator]}
  - {id: carla, email: c@example.org, roles: [auditor]}
  - {id: gert, email: g@example.org, roles: [privacy-officer]}
  - {id: hans, email: h@example.org, roles: [administrator]}
suppliers:
  - {id: drukker, name: Drukkerij, country: NL, tier: high}
"""
APPLY = "suppliers.apply"


class Someone:
    """A person at the console, with a passkey of its own."""

    def __init__(self, instance: Throwaway, name: str) -> None:
        self.face = Face(instance)
        self.key = Authenticator(ORIGIN)
        self.session = self.face.enrol(invite(instance, name), self.key).session

    def may(self, act: str) -> str:
        try:
            self.face.authorise(self.session, act)
        except KetenError as error:
            return error.code
        return "yes"

    def add_key(self) -> None:
        proof = self.face.proof(self.session)
        begun = self.face.client.call("people.add_key_begin", said.AddKeyBegin(proof), said.Ceremony)
        response = Authenticator(ORIGIN).create(begun.options)
        finished = said.Finished(begun.id, response, self.face.address, self.face.browser)
        self.face.client.call("people.add_key", finished, said.Done)

    def apply(self, body: protocol.Apply) -> protocol.Applied:
        """With the passkey, for this very act."""
        begun = self.face.step_up(self.session, APPLY, body)
        shown = self.face.shown(begun, self.key)
        return self.face.do(self.session, APPLY, body, protocol.Applied, shown)

    def sign(self, asked: RequestInfo) -> Outcome:
        """With the passkey, for what takes two people."""
        body = Approve(asked.id, what=asked.what, act=asked.act)
        begun = self.face.step_up(self.session, "subjects.approve", body)
        shown = self.face.shown(begun, self.key)
        return self.face.do(self.session, "subjects.approve", body, Outcome, shown)

    def plan(self, estate: msgspec.Raw) -> protocol.Applied:
        body = protocol.Apply(estate, plan_only=True)
        return self.face.do(self.session, APPLY, body, protocol.Applied)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    with Throwaway(tmp_path_factory.mktemp("w"), settings=ALONE) as made:
        made.up()
        made.apply(ESTATE)
        yield made


def estate(folder: Path, before: str, after: str) -> msgspec.Raw:
    path = folder / "estate.yaml"
    path.write_text(ESTATE.replace(before, after), encoding="utf-8")
    return msgspec.Raw(encode(read_file(path)))


def entries(instance: Throwaway, kind: str) -> list[dict[str, Any]]:
    shown = instance.command("ledger", "show", "--kind", kind, "--json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def test_a_role_that_goes_is_gone_at_the_next_request(instance: Throwaway) -> None:
    carla = Someone(instance, "carla")
    assert (carla.may("see-ledger"), carla.may("see-people")) == ("yes", "yes")
    instance.apply(ESTATE.replace("[auditor]", "[helpdesk]"))
    assert (carla.may("see-ledger"), carla.may("see-people")) == ("not-allowed", "yes")
    instance.apply(ESTATE.replace(", roles: [auditor]", ""))
    assert carla.may("see-people") == "session-ended"
    instance.apply(ESTATE)
    assert carla.face.sign_in(carla.key).person.roles == ("auditor",)


def test_who_was_refused_is_named_as_who_acts(instance: Throwaway) -> None:
    person = instance.ids["person"]["carla"]
    signed_in = [one for one in entries(instance, "identity.person.signed_in") if person in one["subjects"]]
    refused = [one for one in entries(instance, "identity.person.refused") if person in one["subjects"]]
    assert signed_in
    assert refused
    assert {one["actor"] for one in (*signed_in, *refused)} == {f"person:{person}"}


def test_the_second_of_two_administrators_sees_the_conflict(instance: Throwaway, tmp_path: Path) -> None:
    anna, bert = Someone(instance, "anna"), Someone(instance, "bert")
    title, tier = estate(tmp_path, "Drukkerij", "Drukkerij BV"), estate(tmp_path, "tier: high", "tier: low")
    seen, also_seen = anna.plan(title), bert.plan(tier)
    assert seen.base == also_seen.base > 0
    assert refusal(lambda: anna.apply(protocol.Apply(title))) == "no-base"
    assert [one["change"] for one in anna.apply(protocol.Apply(title, base=seen.base)).changes] == ["changed"]
    assert refusal(lambda: bert.apply(protocol.Apply(tier, base=also_seen.base))) == "register-changed"
    again = bert.plan(tier)
    assert set(again.changes[0]["fields"]) == {"name", "tier"}, "that it undoes what anna did is there to be seen"
    assert again.base > seen.base
    bert.apply(protocol.Apply(tier, base=again.base))
    instance.apply(ESTATE)


def test_somebody_with_passkeys_and_a_link_is_erased(instance: Throwaway) -> None:
    leaver = "  - {id: leaver, email: l@example.org, roles: [auditor, administrator]}\nsuppliers:"
    with_leaver = ESTATE.replace("suppliers:", leaver)
    instance.apply(with_leaver)
    invite(instance, "leaver")
    one, gert, hans = (Someone(instance, name) for name in ("leaver", "gert", "hans"))
    path = instance.folder / "leaver.yaml"
    path.write_text(with_leaver.replace("Drukkerij", "Drukkerij BV"))
    changed = msgspec.Raw(encode(read_file(path)))
    one.apply(protocol.Apply(changed, base=one.plan(changed).base))
    person = instance.ids["person"]["leaver"]
    with KeeperClient(instance.paths.operator_socket) as client:
        client.call("watch.suspend", Suspend("leaver", 3_600_000_000, "strange calls"), AlertHandled)
        asked = client.call("subjects.erase", Erase("leaver", "a letter"), Outcome).request
    assert asked is not None
    assert asked.people == 2, "people have passkeys here, whatever [erasure] approvers says"
    assert gert.sign(asked).steps == []
    outcome = hans.sign(asked)
    assert {step["outcome"] for step in outcome.steps} == {"done"}, outcome.steps
    gone = {line.what: line.count for line in outcome.plan.erased}
    assert (gone["passkey"], gone["link"]) == (1, 2)
    stays = {line.what for line in outcome.plan.kept}
    assert {"suppliers.supplier.changed", "watch.alert.raised"} <= stays, "what is not its own stays, and is listed"
    assert refusal(lambda: one.face.sign_in(one.key)) == "sign-in-failed"
    assert one.may("") == "session-ended"
    left = [one for one in entries(instance, "identity.passkey.erased") if one["refs"]["person"] == person]
    assert left[0]["details"]["after"]["credential"] == ""
    instance.run("ledger", "verify")


@pytest.mark.slow
def test_the_doctor_tells_who_can_not_sign_in_and_who_soon_may_not(tmp_path: Path) -> None:
    with Throwaway(tmp_path, settings=ALONE) as instance:
        instance.up()
        instance.apply(ESTATE)

        def doctor() -> dict[str, str]:
            found = json.loads(instance.command("doctor", "--json").stdout)["findings"]
            about = ("staff-", "administrator-", "link-")
            return {one["code"]: one["what"] for one in found if one["code"].startswith(about)}

        assert "anna, bert, carla" in doctor()["staff-no-passkey"]
        anna = Someone(instance, "anna")
        assert set(doctor()) == {"staff-no-passkey", "administrator-alone", "administrator-one-key"}
        with KeeperClient(instance.paths.operator_socket) as client:
            token = client.call("people.invite", said.Invite("bert", hours=12), said.Invited).token
        assert "bert" in doctor()["link-expires"]
        Face(instance).enrol(token, Authenticator(ORIGIN))
        anna.add_key()
        found = doctor()
        assert set(found) == {"staff-no-passkey", "administrator-one-key"}
        assert ("carla" in found["staff-no-passkey"], "bert" in found["administrator-one-key"]) == (True, True)


def test_a_restored_backup_revives_no_link_no_passkey_and_no_session(instance: Throwaway, tmp_path: Path) -> None:
    eva = Face(instance)
    people = "  - {id: dirk, email: d@example.org, roles: [auditor]}\n  - {id: eva, email: e@example.org, "
    instance.apply(ESTATE.replace("suppliers:", f"{people}roles: [auditor]}}\nsuppliers:"))
    dirk = Someone(instance, "dirk")
    proof = dirk.face.proof(dirk.session)
    dirk.add_key()
    token = invite(instance, "eva")
    backup = Path(instance.run("backup", str(tmp_path / "backups"), "--plain")["folder"])
    eva.enrol(token, Authenticator(ORIGIN))
    own = dirk.face.client.call("people.own", said.OwnKeys(proof), said.Own).keys
    lost = own[-1].id
    dirk.face.client.call("people.end_key", said.EndKey(proof, lost), said.Done)
    deadline = time.monotonic() + 30
    while "passkeys" not in (backup / "ended.jsonl").read_text():
        assert time.monotonic() < deadline, "the end was not carried to the backup"
        time.sleep(0.05)

    settings = load_settings(tmp_path / "restored", {})
    restore(settings, backup, Wish((), "operator:test", ("localhost",)))
    report = verify(settings.paths.database, settings.paths.ledger, processes=1)
    assert [str(fault) for fault in report.faults] == []
    engine = reading_engine(settings.paths.database)
    with engine.connect() as connection:
        rows = [
            bound.get(connection, links, Link, one)
            for (one,) in connection.execute(links.select().with_only_columns(links.c.id))
        ]
        assert any(row is not None and row.person == instance.ids["person"]["eva"] and not row.used_us for row in rows)
        now = settings.paths.database.stat().st_mtime_ns // 1000 + 1
        assert all(row is not None and (row.used_us or row.expires_us < now) for row in rows)
        ended = bound.get(connection, passkeys, Passkey, lost)
        kept = [bound.get(connection, passkeys, Passkey, key.id) for key in own if key.id != lost]
        assert ended is not None
        assert ended.ended is not None
        assert [one.ended for one in kept if one is not None] == [None]
        assert connection.execute(person_sessions.select()).first() is None
    engine.dispose()
