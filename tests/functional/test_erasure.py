"""Erasing a person, and a client that is downloading, by two users of the machine; every proof still holds."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keten.core.db import reading_engine
from keten.core.errors import Denied
from keten.drills.reader import Reader
from keten.keeper.subject_protocol import Everything, Requests, Trace, Traced
from keten.ledger.export import export
from tests.architecture.checkout import ROOT
from tests.functional.operators import ANNA, BERT, STRANGER, Operators

pytestmark = pytest.mark.timeout(400)  # whole commands of several users, one after the other
PERSON, CLIENT = "drukwerk-ops", "zorgvervoer-batch"
LARGE = 48 * 1024 * 1024


@pytest.fixture(scope="module")
def operators() -> Iterator[Operators]:
    with Operators() as made:
        made.start()
        yield made


def exported(operators: Operators, name: str) -> Path:
    """A copy for the auditor, made in this process."""
    folder = operators.folder / name
    engine = reading_engine(operators.town.keten.place)
    try:
        with engine.connect() as connection:
            export(connection, operators.town.keten.paths.ledger, folder)
    finally:
        engine.dispose()
    return folder


def audit(*words: str | Path) -> dict[str, Any]:
    """The auditor's own tool, without our environment."""
    command = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), "--json", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in answer["steps"]}


def test_one_asks_and_another_one_approves(operators: Operators) -> None:
    exported(operators, "before")
    id_ = operators.town.keten.ids["person"][PERSON]
    assert operators.ask(0, "subjects.trace", Trace(PERSON), Traced).email == "ops@drukwerk.example"
    asked = operators.run(ANNA, "subject", "erase", PERSON, "--reason", "a letter", "--basis", "GDPR 17(1)(b)", "--yes")
    request = asked["request"]["id"]
    assert asked["request"]["state"] == "waiting"
    assert asked["steps"] == []
    again = operators.erase(ANNA, PERSON)
    assert again.request is not None
    assert (again.request.id, again.already) == (request, True)

    # Whoever asked is one person, and nothing happens without being asked.
    refused = operators.command(ANNA, "subject", "approve", request, "--yes")
    assert (refused.returncode, "another person" in refused.stderr) == (1, True)
    assert operators.command(BERT, "subject", "approve", request).returncode == 2
    assert operators.run(BERT, "subject", "requests")["requests"][0]["id"] == request
    with pytest.raises(Denied, match="root is not named"):  # nor is root a second person: whoever asked may become it
        operators.approve(0, request)
    stranger = operators.command(STRANGER, "subject", "requests")
    assert (stranger.returncode, f"no commands of the user {STRANGER}" in stranger.stderr) == (1, True), stranger.stderr
    operators.out_of_reach()
    stranger = operators.command(STRANGER, "subject", "requests")
    operators.reachable()
    assert (stranger.returncode, "only the group root" in stranger.stderr) == (3, True), stranger.stderr
    assert operators.ask(0, "subjects.trace", Trace(PERSON), Traced).email == "ops@drukwerk.example"

    approved = operators.run(BERT, "subject", "approve", request, "--yes")
    assert set(outcomes(approved).values()) == {"done"}
    assert {line["what"]: line["count"] for line in approved["plan"]["erased"]} == {
        "key": 1,
        "row": 1,
        "identity.person.declared": 1,
        "identity.person.ended": 1,
    }
    assert operators.ask(ANNA, "subjects.requests", Everything(), Requests).requests == []
    left = operators.ask(0, "subjects.trace", Trace(id_), Traced)
    assert (left.email, left.name, left.erased) == ("", id_, True)


def test_the_entry_says_who_and_every_proof_holds(operators: Operators) -> None:
    """After the test above."""
    # The entry says who, by which law, what and how much; nothing personal.
    (erased,) = operators.entries(kind="subjects.subject.erased")
    details = erased["details"]
    assert (details["asked_by"], details["approved_by"]) == (str(ANNA), str(BERT))
    assert (details["approvers"], details["basis"], details["payloads"]) == (2, "GDPR 17(1)(b)", 2)
    gone = [index for first, last in details["indexes"] for index in range(first, last + 1)]
    assert PERSON not in json.dumps(erased)
    (named,) = operators.entries(kind="ledger.payloads.erased")
    assert [one[0] for one in named["details"]["erased"]] == gone

    # Every proof holds: ours, the auditor's; and the log goes on from what was signed before.
    assert operators.verified().checked["erased"] == 2
    before, after = operators.folder / "before", exported(operators, "after")
    proof = operators.folder / "erased.tlog-proof"
    operators.town.keten.run("ledger", "prove", str(gone[0]), "-o", str(proof))
    report = audit(after, "--checkpoint", before / "checkpoint", "--proof", proof)
    assert (report["holds"], report["entries"]["erased"], report["faults"]) == (True, 2, [])
    assert report["proofs"][0]["holds"]
    assert audit(before, "--key", (before / "key.pub").read_text().strip())["holds"]


def test_erased_stays_erased(operators: Operators) -> None:
    """A file that names it again, and being asked twice."""
    id_ = operators.town.keten.ids["person"][PERSON]
    applied = operators.town.keten.command("apply", str(operators.folder / "estate.yaml"))
    assert f"! person {PERSON}: stays ended" in applied.stdout
    operators.town.apply()
    assert operators.town.keten.ids["person"][PERSON] == id_
    assert operators.erase(BERT, PERSON).already


def test_a_client_that_downloads_is_cut_first_and_its_accesses_stay(operators: Operators) -> None:
    town = operators.town
    path = operators.folder / "large.bin"
    path.write_bytes(b"\xa5" * LARGE)
    found = town.keten.run("put", "clients-in-care", str(path))["objects"][0]["object"]
    carrier = town.carrier()
    client = town.keten.ids["client"][CLIENT]
    reader = Reader(carrier, f"/v1/objects/{found}", bytes_per_second=2 * 1024 * 1024)
    reader.start()
    assert reader.began.wait(30)
    time.sleep(0.5)
    with_addresses = town.keten.run("subject", "trace", CLIENT, "--addresses")
    assert "127.0.0.1" in {line.get("address") for line in with_addresses["entries"]}
    asked = operators.erase(ANNA, CLIENT).request
    assert asked is not None
    approved = operators.approve(BERT, asked.id)
    assert {step["outcome"] for step in approved.steps} == {"done"}
    reader.join(30)
    assert reader.reset_at
    assert reader.received < LARGE
    kinds = [one["kind"] for one in operators.entries(principal=client)]
    assert kinds.count("exchange.object.opened") == 1
    (delivered,) = operators.entries(kind="exchange.object.delivered")
    assert delivered["details"]["end"] == "cut"
    traced = town.keten.run("subject", "trace", client, "--addresses")
    assert {line.get("address") for line in traced["entries"]} == {None}
    assert traced["received"][0]["object"] == "large.bin"
    assert traced["received"][0]["dataset"] == "clients-in-care"
    assert carrier.sign_in().status in (400, 401)


def test_a_payload_that_somebody_removed_by_hand_is_damage(operators: Operators) -> None:
    operators.town.keten.down()
    database = operators.town.keten.paths.database
    kept = database.read_bytes()
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE entries SET payload = NULL, salt = NULL WHERE idx = 1")
    connection.close()
    report = operators.town.keten.run("ledger", "verify", expect=1)
    assert {(one["where"], one["index"]) for one in report["faults"] if one["where"] == "payload"} == {("payload", 1)}
    folder = exported(operators, "meddled")
    assert ("erased-unjustified", "entry 1") in {(one["what"], one["where"]) for one in audit(folder)["faults"]}
    database.write_bytes(kept)
