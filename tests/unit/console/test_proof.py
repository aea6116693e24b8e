"""The state of the proof, and what is wrong or weak."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.backup import service as backups
from keten.console import wording
from keten.console.model import Look
from keten.core.settings import Geo, Listener, Settings, Watch
from keten.keeper import entries as keeper
from keten.ledger.notes import Signer
from keten.pages.words import Words
from tests.unit.console.house import House


def settings(house: House, **changes: object) -> None:
    """Change the instance's settings."""
    house.settings = msgspec.structs.replace(house.settings, **changes)


def test_a_fresh_ledger_that_is_published(house: House) -> None:
    house.declare()
    house.publish()
    proof = house.overview().proof
    assert proof.size == proof.published == house.size()
    assert (proof.faults, proof.outside, proof.look, proof.copied_us) == ((), (), None, None)
    assert proof.key == house.signer.verifier_key()
    assert proof.published_us is not None
    assert not house.codes()


def test_nothing_is_published_yet(house: House) -> None:
    house.declare()
    proof = house.overview().proof
    assert proof.published is None
    assert "head-faults" in house.codes()  # a ledger without its checkpoint is said to be that


def test_entries_that_wait_too_long_to_be_published(house: House) -> None:
    house.publish()
    house.declare()
    assert "not-published" not in house.codes()
    house.now_us += 61_000_000
    assert "not-published" in house.codes()


def test_without_a_key_nothing_is_believed(house: House) -> None:
    house.declare()
    house.publish()
    (house.home.ledger / "key.pub").unlink()
    proof = house.overview().proof
    assert (proof.key, proof.published) == ("", None)
    assert proof.faults


def test_a_checkpoint_signed_by_another_key(house: House) -> None:
    house.declare()
    house.publish()
    other = Signer(house.signer.name, Ed25519PrivateKey.generate())
    checkpoint = house.home.ledger / "checkpoint"
    text = checkpoint.read_text().partition("\n\n")[0] + "\n"
    checkpoint.write_text(other.sign(text))
    assert house.overview().proof.published is None
    assert "head-faults" in house.codes()


def test_a_signature_from_outside_is_named(house: House) -> None:
    house.declare()
    house.publish()
    checkpoint = house.home.ledger / "checkpoint"
    note = checkpoint.read_text()
    witness = Signer("witness.example/auditor", Ed25519PrivateKey.generate())
    signature = witness.sign(note.partition("\n\n")[0] + "\n").rpartition("\n\n")[2]
    checkpoint.write_text(note + signature)
    proof = house.overview().proof
    assert proof.outside == ("witness.example/auditor",)
    assert proof.published == proof.size


def test_the_consoles_own_look(house: House) -> None:
    house.declare()
    house.publish()
    house.history.advance(1000)
    look = house.looking.look()
    assert (look.whole, look.count, look.failed, look.entries) == (True, 0, "", house.size())
    house.tamper("UPDATE contracts SET body = x''")
    look = house.looking.look()
    assert look.count > 0
    assert "table contracts" in " ".join(look.faults)
    house.looking.latest = look
    assert "look-faults" in house.codes()


def test_a_large_ledger_is_looked_at_from_its_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from keten.console import proof

    house.declare()
    house.publish()
    house.history.advance(1000)
    monkeypatch.setattr(proof, "WHOLE", 3)
    assert not house.looking.look().whole


def test_a_look_that_fails_is_said(house: House) -> None:
    house.looking.latest = Look(house.now_us, whole=False, entries=0, failed="The database file is damaged.")
    assert "look-failed" in house.codes()


def test_the_thread_looks_and_stops(house: House) -> None:
    house.declare()
    house.publish()
    house.looking.start()
    while house.looking.latest is None:
        house.looking._stop.wait(0.01)
    assert house.looking.latest.count == 0
    house.looking.stop(10)
    assert not house.looking._thread.is_alive()


# ---- health --------------------------------------------------------------------------------------------------------


def test_a_clock_behind_the_ledger(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from keten.console import overview

    house.declare()
    monkeypatch.setattr(overview, "wall_us", lambda: house.now_us - 3_000_000)
    assert "clock-behind" in house.codes()


def test_a_keeper_that_stopped_in_order(house: House) -> None:
    house.record(keeper.KEEPER_STOPPED, "keeper", {}, {})
    assert "keeper-stopped" in house.codes()


@pytest.mark.parametrize(("noted", "stopped"), [("self", False), ("gone", True), ("nonsense", False)])
def test_a_keeper_that_was_killed(house: House, noted: str, stopped: bool) -> None:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    text = {"self": str(os.getpid()), "gone": str(child), "nonsense": "x\x00"}[noted]
    (house.home.run / "keeper.pid").write_text(text)
    assert ("keeper-stopped" in house.codes()) is stopped


def test_a_keeper_that_never_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keten.console import overview

    house = House(tmp_path / "new", started=False)
    monkeypatch.setattr(overview, "wall_us", lambda: house.now_us)
    assert "key-unknown" in house.codes()
    house.engine.dispose()
    house.reader.dispose()


def test_contracts_name_countries_that_nobody_can_know(house: House) -> None:
    settings(house, geo=Geo())
    assert "no-geo" not in house.codes()  # no contract names any
    house.declare()
    assert "no-geo" in house.codes()


@pytest.mark.parametrize(
    ("bind", "said"),
    [("127.0.0.1:8080", False), ("[::1]:8080", False), ("localhost:80", False), ("", False), ("0.0.0.0:80", True)],
)
def test_a_page_that_others_can_reach(house: House, bind: str, said: bool) -> None:
    settings(house, console=Listener(bind=bind))
    assert ("console-open" in house.codes()) is said


@pytest.mark.parametrize("enabled", [True, False])
def test_a_watch_that_is_switched_off(house: House, enabled: bool) -> None:
    settings(house, watch=Watch(enabled=enabled))
    assert ("watch-off" in house.codes()) is not enabled


def test_a_disk_that_is_nearly_full(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total, used, free = 100 << 30, 99 << 30, 1 << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage)
    assert "disk-low" in house.codes()

    def fails(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fails)
    assert "disk-unknown" in house.codes()


def test_grave_concerns_come_first(house: House) -> None:
    house.declare()
    house.record(keeper.KEEPER_STARTED, "keeper", {}, {"key_kind": "bare"})
    house.tamper("UPDATE datasets SET body = x''")
    graves = [one.grave for one in house.overview().concerns]
    assert graves == sorted(graves, reverse=True)
    assert set(graves) == {True, False}


def test_the_settings_that_a_house_starts_with_are_real() -> None:
    assert Settings().console.bind == ""


def test_a_restored_instance_that_nobody_looked_at_is_said_first(house: House) -> None:
    house.declare()
    assert "restore-unconfirmed" not in house.codes()
    origin = house.signer.verifier_key().partition("+")[0]
    life = backups.Life(origin, 1, 1_790_000_000_000_000, backups.UNCONFIRMED)
    house.write(lambda writing: backups.begin_life(writing, life))
    found = next(one for one in house.overview().concerns if one.code == "restore-unconfirmed")
    assert found.grave
    for language, says in (("en", "nobody has looked yet"), ("nl", "nog niemand heeft gekeken")):
        told = wording.concern(Words(language, room="console"), found)
        assert says in told.text
        assert "2026-09-21" in told.text
        assert told.command == "keten restore --confirm"
    house.write(lambda writing: backups.confirm(writing, origin, {}, "operator:tester"))
    assert "restore-unconfirmed" not in house.codes()
