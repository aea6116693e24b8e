"""The main job, over the real processes: sign in, list, fetch, be recorded; and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from tests.town import Town

GUESS = "a" * 25 + "e"


def entries(town: Town, *words: str) -> list[dict[str, Any]]:
    """Entries as `keten ledger show --json` prints them."""
    done = town.keten.command("ledger", "show", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_file_arrives_whole_and_both_ends_of_it_are_recorded(town: Town) -> None:
    printer = town.printer()
    (share,) = printer.shares()
    (listed,) = share["objects"]
    assert (share["form"], share["purpose"], listed["name"]) == ("file", "election-cards", "voters.csv")
    answer = printer.get(f"/v1/objects/{listed['id']}")
    content = town.voters.read_bytes()
    assert answer.status == 200
    assert answer.body == content
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:" == listed["digest"]
    recorded = {entry["kind"]: entry for entry in entries(town, "--object", listed["id"])}
    opened = recorded["exchange.object.opened"]
    assert opened["id"] == answer.headers["keten-entry"]
    assert opened["outcome"] == "allow"
    delivered = recorded["exchange.object.delivered"]
    assert delivered["bytes"] == len(content)
    assert delivered["index"] > opened["index"]


def test_ranges(town: Town) -> None:
    carrier = town.carrier()
    listed = carrier.shares()[0]["objects"][0]
    content, path = town.care.read_bytes(), f"/v1/objects/{listed['id']}"
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=1048570-1048585", 1048570, 1048586),
        ("bytes=-7", len(content) - 7, len(content)),
        (f"bytes={len(content) - 1}-", len(content) - 1, len(content)),
        ("bytes=100-999999999", 100, len(content)),
    ):
        answer = carrier.get(path, {"Range": asked})
        assert answer.status == 206, asked
        assert answer.body == content[start:end], asked
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(content)}"
    unsatisfiable = carrier.get(path, {"Range": f"bytes={len(content)}-"})
    assert unsatisfiable.status == 416
    assert unsatisfiable.headers["content-range"] == f"bytes */{len(content)}"
    for ignored in ("bytes=5-1", "lines=1-2", "bytes=0-1,5-6", "bytes=a-b", "bytes="):
        answer = carrier.get(path, {"Range": ignored})
        assert (answer.status, answer.body) == (200, content), ignored


def test_absent_forbidden_and_guessed_look_alike(town: Town) -> None:
    printer, carrier = town.printer(), town.carrier()
    forbidden = carrier.shares()[0]["objects"][0]["id"]
    answers = [printer.get(f"/v1/objects/{one}") for one in (forbidden, GUESS, "x", "%2e%2e")]
    bodies = []
    for answer in answers:
        assert answer.status == 404
        body = answer.json()
        bodies.append({name: value for name, value in body.items() if name not in ("instance", "request_id")})
    assert all(body == bodies[0] for body in bodies)
    headers = [set(answer.headers) for answer in answers]
    assert headers[0] == headers[1]
    reasons = [entry.get("reasons") for entry in entries(town, "--kind", "exchange.object.refused")]
    assert ["no-grant"] in reasons
    assert ["absent"] in reasons


def test_what_the_operators_tools_say(town: Town, tmp_path: Path) -> None:
    printer = town.printer()
    listed = printer.shares()[0]["objects"][0]
    printer.get(f"/v1/objects/{listed['id']}")
    custody = town.keten.run("ledger", "custody", "--dataset", "voters")
    assert any(entry["kind"] == "exchange.object.opened" for entry in custody["entries"])
    assert town.keten.command("ledger", "verify").returncode == 0
    copy = tmp_path / "copy"
    assert town.keten.command("ledger", "export", str(copy)).returncode == 0
    assert (copy / "entries.jsonl").exists()


def test_a_decision_is_explained_and_can_be_replayed(town: Town) -> None:
    allowed = town.keten.run("decide", "drukwerk-batch", "open", "voters", "--country", "NL")
    assert allowed["outcome"] == "allow"
    denied = town.keten.run("decide", "drukwerk-batch", "open", "voters", "--country", "US", expect=1)
    assert "country-not-allowed" in denied["reasons"]
    at = ("--country", "NL", "--at", "2100-01-01T00:00:00Z")
    later = town.keten.run("decide", "drukwerk-batch", "open", "voters", *at, expect=1)
    assert "contract-ended" in later["reasons"]
    printer = town.printer()
    answer = printer.get(f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}")
    replayed = town.keten.run("decide", "--replay", answer.headers["keten-entry"])
    assert replayed["same"] is True
    assert replayed["outcome"] == "allow"
