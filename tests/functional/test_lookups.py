"""Records of a table, one by one: what is granted and no more, each recorded, charged and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from keten.drills.supplier import Answer, SupplierSystem
from tests.office import ROWS, Office, key
from tests.town import PRINTER


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


def shares(system: SupplierSystem) -> dict[str, dict[str, Any]]:
    answer = system.get("/v1/shares")
    assert answer.status == HTTPStatus.OK
    return {one["label"]: one for one in json.loads(answer.body)["shares"]}


def test_one_record_of_the_granted_columns(office: Office) -> None:
    system = office.town.printer()
    share = shares(system)["jobseekers"]
    assert (share["form"], share["key"], share["columns"], share["objects"]) == ("lookup", "nir", ["name", "phone"], [])
    answer = system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=INTAKE-7")
    assert answer.status == HTTPStatus.OK, answer.body
    document = json.loads(answer.body)
    assert document["records"] == [{"name": "Naam 7", "phone": "0600000007"}]
    assert answer.headers["keten-entry"] == document["entry"]
    (entry,) = [one for one in office.entries() if one["id"] == document["entry"]]
    assert entry["kind"] == "exchange.lookup.answered"
    assert entry["actor"] == office.keten.ids["client"][PRINTER]
    details = entry["details"]
    assert (details["asked"], details["found"], details["missed"], details["charged"]) == (1, 1, 0, 1)
    assert details["records"] == ROWS
    (hour, spent, ten), (month, as_much, forty) = details["used"]
    assert (hour, ten, month, forty) == ("hour", 10, "month", 40)
    assert spent == as_much >= 1
    shown = json.dumps(entry)
    assert "Naam 7" not in shown
    assert key(7) not in shown
    record = office.keten.run("subject", "record", "jobseekers", f" {key(7)} ")["id"]
    assert record in entry["subjects"]
    custody = office.keten.run("ledger", "custody", "--subject", record)["entries"]
    assert [one["id"] for one in custody] == [document["entry"]]
    again = system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=INTAKE-7&columns=phone")
    assert json.loads(again.body)["records"] == [{"phone": "0600000007"}]
    charged = [one for one in office.entries() if one["id"] == again.headers["keten-entry"]]
    assert charged[0]["details"]["charged"] == 0, "a record that is known costs nothing again"
    absent = system.get(f"/v1/lookups/{share['id']}?key=none&case=INTAKE-7")
    hidden = system.get(f"/v1/lookups/{'a' * 26}?key={key(7)}&case=INTAKE-7")
    assert absent.status == hidden.status == HTTPStatus.NOT_FOUND
    for said in (absent, hidden):
        assert json.loads(said.body)["detail"] == "There is nothing here for you."
    columns = system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=INTAKE-7&columns=debt")
    assert columns.status == HTTPStatus.BAD_REQUEST, "a column that is not granted"
    assert json.loads(columns.body)["code"] == "columns", "whoever may look up is told what is wrong"
    other = system.get(f"/v1/lookups/{'a' * 26}?key={key(7)}&case=INTAKE-7&columns=debt")
    assert other.status == HTTPStatus.NOT_FOUND, "and nobody else"
    assert office.keten.command("ledger", "verify").returncode == 0


def test_the_table_is_no_file(office: Office) -> None:
    system = office.town.printer()
    dataset = office.keten.ids["dataset"]["jobseekers"]
    (stored,) = office.entries("--kind", "vault.object.stored", "--dataset", dataset)
    assert system.get(f"/v1/objects/{stored['object']}").status == HTTPStatus.NOT_FOUND


def test_a_source_without_rows_takes_nothing_away(office: Office) -> None:
    """As an export that failed leaves it: every honest lookup would be a miss, and stopped for guessing."""
    empty = office.town.keten.home.parent / "newer.csv"
    empty.write_text("nir,name,phone,debt\n")
    refused = office.keten.command("put", "jobseekers", str(empty))
    assert (refused.returncode, "no rows" in refused.stderr) == (2, True)
    system = office.town.printer()
    answer = system.get(f"/v1/lookups/{shares(system)['jobseekers']['id']}?key={key(7)}&case=E")
    assert answer.status == HTTPStatus.OK


def test_what_would_be_decided_of_a_lookup(office: Office) -> None:
    allowed = office.keten.run("decide", PRINTER, "lookup", "jobseekers", "--country", "NL")
    assert (allowed["outcome"], allowed["policies"]) == ("allow", ["lookup-grant"])
    denied = office.keten.run("decide", PRINTER, "lookup", "voters", "--country", "NL", expect=1)
    assert denied["outcome"] == "deny"
    assert "open, list, lookup" in office.keten.command("decide", PRINTER, "search", "jobseekers").stderr


def test_own_cases_only(office: Office) -> None:
    system = office.town.carrier()
    share = shares(system)["own-cases"]
    mine = system.get(f"/v1/lookups/{share['id']}?key={key(1)}&case=A-1")
    assert json.loads(mine.body)["records"][0]["debt"] == "10"
    for other in (key(2), key(3)):
        assert system.get(f"/v1/lookups/{share['id']}?key={other}&case=A-1").status == HTTPStatus.NOT_FOUND
    refused = [one for one in office.entries() if one["kind"] == "exchange.lookup.refused"]
    assert [one["reasons"] for one in refused][-2:] == [["outside-caseload"]] * 2


def test_somebody_elses_case_is_answered_as_what_is_not_there(office: Office) -> None:
    """Law 8: or who may only see cases of its own learns who else is in the register."""
    system = office.town.carrier()
    address = f"/v1/lookups/{shares(system)['own-cases']['id']}"

    def ask(*keys: str) -> Answer:
        headers = system.authorised("POST", address, {"Content-Type": "application/json"})
        return system.ask("POST", address, headers, json.dumps({"keys": keys, "case": "A-4"}).encode())

    def shown(answer: Answer) -> tuple[int, set[str], dict[str, Any]]:
        body = {name: value for name, value in json.loads(answer.body).items() if name not in {"entry", "request_id"}}
        body.pop("instance", None)
        return answer.status, set(answer.headers), body

    for other, absent in (
        (ask(key(2)), ask("none")),
        (ask(key(2), key(3)), ask("none", "none-2")),
        (system.get(f"{address}?key={key(2)}&case=A-4"), system.get(f"{address}?key=none&case=A-4")),
    ):
        assert shown(other) == shown(absent)
        (entry,) = [one for one in office.entries() if one["id"] == other.headers["keten-entry"]]
        assert (entry["kind"], entry["reasons"]) == ("exchange.lookup.refused", ["outside-caseload"])


def test_each_of_them_is_recorded_by_itself(office: Office) -> None:
    """As each lookup of what is not there is: more than are told one by one of other refusals."""
    system = office.town.carrier()
    address = f"/v1/lookups/{shares(system)['own-cases']['id']}?key={key(2)}&case=A-5"
    named = {system.get(address).headers["keten-entry"] for _again in range(14)}
    assert len(named) == 14
    assert named <= {one["id"] for one in office.entries("--kind", "exchange.lookup.refused")}


def test_a_proof_is_good_for_one_lookup(office: Office) -> None:
    """Not for the same once more, and not for another key at the same address."""
    system = office.town.printer()
    address = f"/v1/lookups/{shares(system)['jobseekers']['id']}"
    before = len(office.entries("--kind", "exchange.lookup"))
    headers = system.authorised("GET", address)
    first = system.ask("GET", f"{address}?key={key(7)}&case=R", headers)
    assert first.status == HTTPStatus.OK
    for again in (7, 8):
        replayed = system.ask("GET", f"{address}?key={key(again)}&case=R", headers)
        assert (replayed.status, json.loads(replayed.body)["code"]) == (HTTPStatus.UNAUTHORIZED, "proof-replayed")
    posted = system.ask("POST", address, headers, json.dumps({"keys": [key(8)], "case": "R"}).encode())
    assert posted.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    assert len(office.entries("--kind", "exchange.lookup")) == before + 1


def test_a_batch_tells_no_more_of_other_peoples_cases(office: Office) -> None:
    system = office.town.carrier()
    address = f"/v1/lookups/{shares(system)['own-cases']['id']}"

    def ask(*keys: str) -> Answer:
        headers = system.authorised("POST", address, {"Content-Type": "application/json"})
        return system.ask("POST", address, headers, json.dumps({"keys": keys, "case": "A-2"}).encode())

    other, absent = ask(key(1), key(2)), ask(key(1), "none")
    assert other.status == absent.status == HTTPStatus.OK
    assert json.loads(other.body)["records"] == json.loads(absent.body)["records"]
    assert json.loads(other.body)["records"][1] is None
    (entry,) = [one for one in office.entries() if one["id"] == other.headers["keten-entry"]]
    assert (entry["details"]["outside"], entry["details"]["missed"], len(entry["subjects"])) == (1, 0, 2)


def test_a_refusal_forgives_no_guess(office: Office) -> None:
    """Guesses beside a record that is refused count, and are not taken for mistakes of before afterwards."""
    system = office.town.carrier()
    address = f"/v1/lookups/{shares(system)['own-cases']['id']}"
    for keys in ([f"try-{number}" for number in range(3)] + [key(2)], [f"try-{number}" for number in range(3)]):
        headers = system.authorised("POST", address, {"Content-Type": "application/json"})
        system.ask("POST", address, headers, json.dumps({"keys": keys, "case": "A-3"}).encode())
    refused = office.entries("--kind", "exchange.lookup.refused")[-1]
    assert refused["reasons"] == ["outside-caseload"]
    assert refused["details"]["missed"] == 3
    assert refused["details"]["score"][0] > 0


def test_one_mistake_made_again_and_again_is_one(office: Office) -> None:
    system = office.town.printer()
    share = shares(system)["jobseekers"]
    for _again in range(20):
        assert system.get(f"/v1/lookups/{share['id']}?key=mistyped&case=C").status == HTTPStatus.NOT_FOUND
    assert system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=C").status == HTTPStatus.OK


def test_a_key_that_is_known_hides_no_guesses(office: Office) -> None:
    """The last of this client: its lookups are stopped afterwards."""
    system = office.town.carrier()
    share = shares(system)["own-cases"]

    def ask(wanted: str) -> Answer:
        return system.get(f"/v1/lookups/{share['id']}?key={wanted}&case=D")

    guessed = 0
    while ask(key(1)).status == HTTPStatus.OK and guessed < 20:
        guessed += ask(f"guess-{guessed}").status == HTTPStatus.NOT_FOUND
        assert [ask(key(1)).status for _hit in range(4)] in ([HTTPStatus.OK] * 4, [HTTPStatus.TOO_MANY_REQUESTS] * 4)
    assert json.loads(ask(key(1)).body)["code"] == "guessing"
    assert guessed <= 7
    (refused,) = [
        one
        for one in office.entries("--kind", "exchange.lookup.refused")
        if one["details"].get("missed") and "guessing" in one["reasons"]
    ]
    assert refused["details"]["stopped_until_us"] > 0


def test_the_budget_is_the_bound(office: Office) -> None:
    system = office.town.printer()
    share = shares(system)["jobseekers"]
    assert system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=INTAKE-7").status == HTTPStatus.OK
    given = 1
    for number in range(20, 40):
        answer = system.get(f"/v1/lookups/{share['id']}?key={key(number)}&case=B")
        if answer.status == HTTPStatus.OK:
            given += 1
            continue
        assert answer.status == HTTPStatus.TOO_MANY_REQUESTS
        told = json.loads(answer.body)
        assert (told["code"], told["scope"], told["budget"], told["left"]) == ("budget-spent", "grant", "10", "0")
        assert told["until"]
    assert given == 10
    absent = system.get(f"/v1/lookups/{share['id']}?key=nobody&case=B")
    assert json.loads(absent.body)["code"] == "budget-spent", "a spent budget does not tell who is there"
    known = system.get(f"/v1/lookups/{share['id']}?key={key(7)}&case=INTAKE-7")
    assert known.status == HTTPStatus.OK, "what was received in this hour costs nothing again"
    assert office.keten.command("ledger", "verify").returncode == 0


def test_what_was_recorded_by_itself_is_not_counted_as_well(office: Office) -> None:
    """The last of all: a keeper that stops records what it only counted."""
    office.keten.down()
    counted = [one for one in office.entries("--outcome", "deny") if one["details"].get("count")]
    assert "outside-caseload" not in {reason for one in counted for reason in one["reasons"]}
