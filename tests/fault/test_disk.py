"""A full disk: accesses are refused, access can still be ended, nothing is half-written, and space brings it back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from keten.drills.reader import Reader
from keten.drills.supplier import SupplierSystem
from tests.fault.small_disk import MIB, SmallDisk, small_disk
from tests.town import CARRIER, PRINTER, SETTINGS, Town

RESERVE = 6 * MIB
NEARLY_FULL = "The disk is nearly full"


@contextmanager
def town_on(disk: SmallDisk, folder: Path, reserve: int) -> Iterator[Town]:
    """A town whose instance lies on the small disk."""
    assert disk.path == folder / "instance"
    town = Town(folder)
    town.keten.paths.settings.write_text(f"{SETTINGS}[keeper]\nreserve_bytes = {reserve}\n")
    with town.keten:
        town.start()
        yield town


def entries(town: Town, *words: str) -> list[dict[str, Any]]:
    done = town.keten.command("ledger", "show", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verified(town: Town) -> None:
    done = town.keten.command("ledger", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def left_over(town: Town) -> list[Path]:
    """Files that something unfinished left."""
    return [path for path in town.keten.home.rglob("*") if path.name.endswith(".tmp")]


def stored(town: Town) -> set[Path]:
    return {path for path in town.keten.paths.store.rglob("*") if path.is_file()}


def puts_under_way(town: Town) -> int:
    with closing(sqlite3.connect(f"file:{town.keten.paths.database}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM puts").fetchone()[0])


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallDisk, Town]]:
    """A town with a reserve, on a disk of 64 MiB."""
    folder = tmp_path_factory.mktemp("roomy")
    with small_disk(folder / "instance", 64) as disk, town_on(disk, folder, RESERVE) as town:
        yield disk, town
        disk.free()


@pytest.mark.slow
def test_a_keeper_that_is_killed_with_the_reserve(tmp_path: Path) -> None:
    """The next one starts, hears how transfers ended, and ends access; so does one after all was stopped."""
    with small_disk(tmp_path / "instance", 64) as disk, town_on(disk, tmp_path, RESERVE) as town:
        carrier = town.carrier()
        care = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
        reader = Reader(carrier, care, stall_after=256 * 1024)
        reader.start()
        assert reader.began.wait(30)
        disk.fill(RESERVE // 2)
        os.kill(town.keten.pid("keeper"), signal.SIGKILL)
        until(lambda: entries(town, "--kind", "exchange.object.delivered"))
        reader.resume.set()
        reader.join(60)
        (end,) = entries(town, "--kind", "exchange.object.delivered")
        assert end["details"]["end"] == "cut", "the gateway said what it had delivered"
        assert 0 < end["bytes"] < town.care.stat().st_size
        town.keten.run("revoke", "client", CARRIER, "--reason", "with the reserve")
        assert carrier.get(care).status in (401, 404, 503)

        assert town.keten.down() == 0
        assert disk.left < RESERVE
        town.keten.run("revoke", "client", PRINTER, "--reason", "with the reserve, and stopped")
        town.keten.up()
        assert town.system(PRINTER, town.printer_key).sign_in().status in (401, 503)
        verified(town)

        assert town.keten.down() == 0
        disk.free()
        town.keten.up()
        assert town.system(PRINTER, town.printer_key).sign_in().status == 401
        assert town.system(CARRIER, town.carrier_key).sign_in().status == 401
        verified(town)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_when_only_the_reserve_is_left(roomy: tuple[SmallDisk, Town]) -> None:
    disk, town = roomy
    printer, carrier = town.printer(), town.carrier()
    path = f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}"
    care = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
    reader = Reader(carrier, care, stall_after=256 * 1024)
    reader.start()
    assert reader.began.wait(30)

    disk.fill(RESERVE // 2)
    assert printer.get(path).status == 503
    assert printer.get("/v1/shares").status == 503
    assert town.system(PRINTER, town.printer_key).sign_in().status == 503
    assert printer.ask("GET", "/healthz").status == 503
    assert town.keten.command("put", "voters", str(town.care)).returncode == 3
    estate = town.keten.folder / "estate.yaml"
    estate.write_text(estate.read_text().replace("retention_days: 90", "retention_days: 80"))
    refused = town.keten.command("apply", str(estate))
    assert refused.returncode == 3
    assert NEARLY_FULL in refused.stderr

    # What ends access goes through: the end of a delivery, and a revocation.
    reader.resume.set()
    reader.join(60)
    assert reader.refused_status == 503, "the download that had begun went on to its end, the next was refused"
    (opened,) = reader.entries
    (delivered,) = [one for one in entries(town, "--kind", "exchange.object.delivered") if _of(one, opened)]
    assert delivered["bytes"] == town.care.stat().st_size
    town.keten.run("revoke", "client", CARRIER, "--reason", "the disk is full")
    assert disk.left < RESERVE
    verified(town)

    disk.free()
    answer = printer.get(path)
    assert (answer.status, answer.body) == (200, town.voters.read_bytes())
    assert carrier.get(care).status in (401, 404)
    town.keten.run("put", "clients-in-care", str(town.voters))
    verified(town)
    assert left_over(town) == []


def _of(entry: dict[str, Any], opening: str) -> bool:
    return bool(entry["details"]["opening"] == opening)


@pytest.mark.parametrize(
    "levels",
    [(0, 2, 5, 12), pytest.param((*range(20), 24, 30, 40, 60, 100, 0), marks=pytest.mark.slow)],
    ids=["short", "long"],
)
@pytest.mark.timeout(600)
def test_full_at_every_write(tmp_path: Path, levels: tuple[int, ...]) -> None:
    """Without a reserve, writes really fail, each at another place. Whatever was answered is in the ledger."""
    with small_disk(tmp_path / "instance", 48) as disk, town_on(disk, tmp_path, 0) as town:
        printer = town.printer()
        path = f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}"
        content, small = town.voters.read_bytes(), tmp_path / "small.txt"
        given: list[str] = []
        refusals: set[int] = set()
        put: list[str] = []
        for pages in levels:
            disk.fill(pages * 4096)
            for _attempt in range(8):
                _fetch(printer, path, content, given, refusals)
            small.write_text(f"{pages} pages were left\n")
            done = town.keten.command("put", "voters", str(small), "--as", f"{pages}-{len(put)}.txt", "--json")
            assert done.returncode in (0, 3), done.stderr
            if done.returncode == 0:
                put.append(json.loads(done.stdout)["objects"][0]["object"])
        disk.fill(0)
        _fetch(printer, path, content, given, refusals)
        verified(town)
        disk.free()
        assert refusals == {503}, "the disk was full at times"
        assert printer.get(path).body == content
        assert town.printer().get(path).body == content
        verified(town)
        recorded = {entry["id"] for entry in entries(town, "--kind", "exchange.object.opened")}
        assert set(given) <= recorded
        listed = {one["id"] for one in printer.shares()[0]["objects"]}
        assert set(put) <= listed
        assert len(stored(town)) == len(listed) + 1, "what failed left nothing (one more: the carrier's)"
        assert puts_under_way(town) == 0
        assert left_over(town) == []
        assert "Traceback" not in town.keten.log()


def _fetch(system: SupplierSystem, path: str, content: bytes, given: list[str], refusals: set[int]) -> None:
    answer = system.get(path)
    if answer.status == 200:
        assert answer.body == content
        given.append(answer.headers["keten-entry"])
    else:
        refusals.add(answer.status)


def test_a_put_that_does_not_fit_leaves_nothing(roomy: tuple[SmallDisk, Town]) -> None:
    disk, town = roomy
    big = town.keten.folder / "big.bin"
    big.write_bytes(bytes(10 * MIB))
    before = stored(town)
    for leave, said in ((RESERVE + 2 * MIB, "The disk is full"), (RESERVE + 5 * MIB, NEARLY_FULL)):
        disk.fill(leave)
        refused = town.keten.command("put", "voters", str(big))
        assert refused.returncode == 3
        assert said in refused.stderr
        assert stored(town) == before
        assert left_over(town) == []
        assert puts_under_way(town) == 0
    disk.free()
    town.keten.run("put", "voters", str(big))
    names = {one["name"] for one in town.printer().shares()[0]["objects"]}
    assert names == {"voters.csv", "big.bin"}
    verified(town)


@pytest.mark.slow
def test_publishing_onto_a_full_disk_waits_and_catches_up(tmp_path: Path) -> None:
    town = Town(tmp_path)
    ledger = town.keten.paths.ledger
    kept = {path.relative_to(ledger): path.read_bytes() for path in ledger.rglob("*") if path.is_file()}
    with small_disk(ledger, 1) as disk:
        for name, content in kept.items():
            (ledger / name).parent.mkdir(parents=True, exist_ok=True)
            (ledger / name).write_bytes(content)
        with town.keten:
            town.start()
            printer = town.printer()
            path = f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}"
            disk.fill(0)
            for _attempt in range(5):
                assert printer.get(path).status == 200, "the database is the truth, and on another disk"
            status = town.keten.run("status")["keeper"]
            assert status["published"] < status["size"]
            checkpoint = int((ledger / "checkpoint").read_text().split("\n")[1])
            assert checkpoint <= status["published"], "no checkpoint without its tiles"
            findings = {one["code"]: one for one in _doctor(town)["findings"]}
            assert "publishing-behind" in findings
            assert findings.get("ledger", {}).get("severity") != "wrong", findings["ledger"]
            disk.free()
            (last,) = entries(town, "--newest", "--limit", "1")
            town.keten.run("ledger", "prove", last["id"], "-o", str(tmp_path / "proof"))
            verified(town)
            assert [path for path in left_over(town) if path.is_relative_to(ledger)] == []


def _doctor(town: Town) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(town.keten.command("doctor", "--json").stdout)
    return found
