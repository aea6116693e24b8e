"""`keten destroy dataset`: key and content gone for ever, with an entry, while somebody is fetching it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from keten.core.clock import wall_us
from keten.core.db import reading_engine
from keten.drills.reader import Reader
from keten.revocation.service import covered_alone
from tests.cluster import chosen
from tests.statements import run
from tests.town import Town
from tests.unit.cli.in_a_terminal import in_a_terminal

LARGE = 48 * 1024 * 1024
MORE_THAN_AT_ONCE = 230


def blobs(town: Town) -> set[Path]:
    return {path for path in town.keten.paths.store.rglob("*") if path.is_file()}


def rows(town: Town, statement: str) -> list[tuple[object, ...]]:
    return run(town.keten.place, statement)


def destroy(town: Town, *words: str) -> tuple[int, dict[str, str]]:
    done = town.keten.command("destroy", "dataset", "clients-in-care", "--reason", "a test", "--json", *words)
    steps = json.loads(done.stdout)["steps"] if done.stdout else []
    return done.returncode, {step["step"]: step["outcome"] for step in steps}


def test_destroyed_is_destroyed(fresh_town: Town) -> None:  # noqa: PLR0915  # one destruction, looked at from all sides
    town = fresh_town
    of_voters = len(blobs(town)) - 1
    path = town.keten.folder / "large.bin"
    path.write_bytes(b"\xa5" * LARGE)
    found = town.keten.run("put", "clients-in-care", str(path))["objects"][0]["object"]
    many = town.keten.folder / "many"
    many.mkdir()
    for number in range(MORE_THAN_AT_ONCE):
        (many / f"{number}.txt").write_text(str(number))
    town.keten.run("put", "clients-in-care", *(str(one) for one in sorted(many.iterdir())))
    carrier = town.carrier()
    reader = Reader(carrier, f"/v1/objects/{found}", bytes_per_second=2 * 1024 * 1024)
    reader.start()
    assert reader.began.wait(30)
    time.sleep(0.5)

    dataset = town.keten.ids["dataset"]["clients-in-care"]
    ((wrapped,),) = rows(town, f"SELECT wrapped FROM dataset_keys WHERE dataset = '{dataset}'")
    assert isinstance(wrapped, bytes)
    code, _steps = destroy(town)
    assert (code, len(blobs(town))) == (2, of_voters + MORE_THAN_AT_ONCE + 2), "unasked, nothing is destroyed"
    code, steps = destroy(town, "--yes")
    if not chosen():
        assert (code, set(steps.values())) == (0, {"done"})
    else:  # nobody here can say what a server's log, replicas and backups still hold
        assert (code, steps.pop("log"), set(steps.values())) == (3, "not-done", {"done"})

    # Cut before the command returned; the key and the ciphertext are gone.
    reader.join(30)
    assert reader.reset_at, "the connection was reset"
    assert reader.received < LARGE
    assert carrier.get(f"/v1/objects/{found}").status == 404
    assert carrier.shares() == []
    assert len(blobs(town)) == of_voters
    for file in town.keten.paths.database_folder.iterdir():
        assert wrapped not in file.read_bytes(), f"{file} still holds the key"
    assert rows(town, f"SELECT wrapped FROM dataset_keys WHERE dataset = '{dataset}'") == [(None,)]
    assert rows(town, f"SELECT * FROM content_keys WHERE dataset = '{dataset}'") == []

    # Each of it is an entry, with who and why.
    shown = town.keten.command("ledger", "show", "--json", "--dataset", "clients-in-care").stdout.splitlines()
    kinds = [entry["kind"] for entry in map(json.loads, shown)]
    assert kinds.count("vault.object.destroyed") == MORE_THAN_AT_ONCE + 2
    (said,) = [one for one in map(json.loads, shown) if one["kind"] == "vault.key.destroyed"]
    assert said["actor"].startswith("operator:")
    assert said["details"] == {"objects": MORE_THAN_AT_ONCE + 2, "reason": "a test"}
    (ended,) = [one for one in map(json.loads, shown) if one["kind"] == "datasets.dataset.ended"]
    assert ended["details"]["after"]["ended"]["reason"] == "a test"
    (delivered,) = [one for one in map(json.loads, shown) if one["kind"] == "exchange.object.delivered"]
    assert delivered["details"]["end"] == "cut"

    # Nothing revives it: no estate file, no put, no restart (law 6). Again is no error and no entry.
    town.apply()
    assert carrier.shares() == []
    put = town.keten.command("put", "clients-in-care", str(town.care))
    assert (put.returncode, "has ended" in put.stderr) == (1, True)
    size = rows(town, "SELECT count(*) FROM entries")
    assert destroy(town, "--yes")[0] == (3 if chosen() else 0)
    assert rows(town, "SELECT count(*) FROM entries") == size
    town.keten.down()
    town.keten.up()
    assert town.carrier().shares() == []
    assert town.keten.command("ledger", "verify").returncode == 0
    printer = town.printer()
    assert printer.get(f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}").status == 200


def test_what_is_not_done_is_said(fresh_town: Town) -> None:
    town = fresh_town
    dataset = town.keten.ids["dataset"]["clients-in-care"]
    storage = str(rows(town, f"SELECT storage FROM objects WHERE dataset = '{dataset}'")[0][0])
    blob = town.keten.paths.store / storage[:2] / storage
    blob.unlink()
    blob.mkdir()  # what cannot be unlinked
    copy = town.keten.paths.database.with_name("keten.db.before-0000")
    copy.write_bytes(b"a copy")
    code, steps = destroy(town, "--yes")
    assert (code, steps["store"], steps["copies"]) == (3, "not-done", "not-done")
    assert (steps["key"], steps["content"]) == ("done", "done")
    blob.rmdir()
    copy = copy.rename(copy.with_name(f".{copy.name}.abcdefgh.tmp"))  # as of an upgrade that was killed
    code, steps = destroy(town, "--yes")
    assert (code, steps["store"], steps["copies"]) == (3, "already", "not-done")
    copy = copy.rename(copy.with_name("keten.db.moved-1"))  # as a move to another database leaves it
    code, steps = destroy(town, "--yes")
    assert (code, steps["store"], steps["copies"]) == (3, "already", "not-done")
    copy.unlink()
    code, steps = destroy(town, "--yes")
    assert (code, steps["store"], "copies" in steps) == (0, "already", False)


def test_what_another_contract_used_when_it_was_agreed_is_kept(fresh_town: Town) -> None:
    town = fresh_town
    too = "{id: too, dataset: clients-in-care, contract: vwo-1, purpose: election-cards, form: file, label: care}"
    town.apply(extra=f"  - {too}\n")
    agreed = wall_us()
    town.keten.run("revoke", "contract", "vwo-1", "--reason", "over")
    contract, now = town.keten.ids["contract"]["vwo-2"], wall_us()
    engine = reading_engine(town.keten.place)
    with engine.connect() as connection:
        assert [one.name for one in covered_alone(connection, contract, now).alone] == ["clients-in-care"]
        assert covered_alone(connection, contract, now, agreed).alone == ()
        assert [one.name for one in covered_alone(connection, contract, now, now).alone] == ["clients-in-care"]
    engine.dispose()


def test_an_object_whose_row_was_changed_is_named_and_unreadable(fresh_town: Town) -> None:
    town = fresh_town
    ((body,),) = rows(town, "SELECT body FROM objects WHERE name = 'care.bin'")
    assert isinstance(body, bytes)
    run(town.keten.place, "UPDATE objects SET body = ? WHERE name = 'care.bin'", body.replace(b"care.bin", b"care.txt"))
    code, steps = destroy(town, "--yes")
    assert (code, steps["key"], steps["content"]) == (3, "done", "not-done")
    assert town.carrier().shares() == []


def test_the_name_is_asked_on_a_terminal(fresh_town: Town) -> None:
    town = fresh_town
    words = ("destroy", "dataset", "clients-in-care", "--reason", "a test", "--home", str(town.keten.home))
    for typed in (b"\n", b"yes\n", b"voters\n"):
        refused = in_a_terminal(typed, *words)
        assert (refused.code, refused.out) == (1, "")
        assert "holds 1 file" in refused.shown
    assert town.carrier().shares() != []
    agreed = in_a_terminal(b"clients-in-care\n", *words)
    assert (agreed.code, "destroyed" in agreed.out or chosen()) == (3 if chosen() else 0, True)
    assert town.carrier().shares() == []
