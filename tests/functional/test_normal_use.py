"""Normal use is never mistaken for an attack; and what may not be known cannot be timed either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from keten.core.ids import new_id
from tests.town import CARRIER, Town

PAIRS = 120
SIGMAS = 5.0
BUDGET = "budget: {records: 25000, per: day}"


def test_fifty_parallel_downloads_of_one_client(town: Town) -> None:
    carrier = town.carrier()
    found = carrier.shares()[0]["objects"][0]["id"]
    content = town.care.read_bytes()

    def fetch(_number: int) -> bool:
        answer = carrier.get(f"/v1/objects/{found}")
        return answer.status == 200 and answer.body == content

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(fetch, range(50)))


def test_four_hundred_requests_in_a_row(town: Town) -> None:
    printer = town.printer()
    found = printer.shares()[0]["objects"][0]["id"]
    with printer.connect() as wire:
        for _number in range(400):
            path = f"/v1/objects/{found}"
            headers = printer.authorised("GET", path, {"Range": "bytes=0-9", "Connection": "keep-alive"})
            response = printer.send(wire, "GET", path, headers)
            assert response.status == 206
            assert len(response.read()) == 10


def test_absent_and_forbidden_take_equally_long(town: Town) -> None:
    """A sign test over interleaved pairs: neither is slower more often than chance explains, to five sigmas."""
    printer, carrier = town.printer(), town.carrier()
    forbidden, absent = carrier.shares()[0]["objects"][0]["id"], new_id()

    with printer.connect() as wire:

        def asked(object_id: str) -> float:
            path = f"/v1/objects/{object_id}"
            headers = printer.authorised("GET", path, {"Connection": "keep-alive"})
            began = time.perf_counter()
            response = printer.send(wire, "GET", path, headers)
            response.read()
            assert response.status == 404
            return time.perf_counter() - began

        slower = 0
        for number in range(PAIRS):
            first, second = (forbidden, absent) if number % 2 else (absent, forbidden)
            times = {first: asked(first), second: asked(second)}
            slower += times[forbidden] > times[absent]
    assert abs(slower - PAIRS / 2) < SIGMAS * (PAIRS**0.5) / 2, f"forbidden was slower in {slower} of {PAIRS}"


def _as_long(one: Callable[[], float], other: Callable[[], float]) -> None:
    """The same sign test for any two requests."""
    slower = 0
    for number in range(PAIRS):
        if number % 2:
            first, second = one(), other()
        else:
            second, first = other(), one()
        slower += first > second
    assert abs(slower - PAIRS / 2) < SIGMAS * (PAIRS**0.5) / 2, f"it was slower in {slower} of {PAIRS}"


def test_absent_and_forbidden_shares_take_equally_long(town: Town) -> None:
    printer, carrier = town.printer(), town.carrier()
    forbidden = carrier.shares()[0]["id"]
    with printer.connect() as wire:

        def asked(share_id: str) -> float:
            path = f"/v1/shares/{share_id}"
            headers = printer.authorised("GET", path, {"Connection": "keep-alive"})
            began = time.perf_counter()
            response = printer.send(wire, "GET", path, headers)
            response.read()
            assert response.status == 404
            return time.perf_counter() - began

        _as_long(lambda: asked(forbidden), lambda: asked(new_id()))


def test_whether_a_client_exists_cannot_be_timed(town: Town) -> None:
    """Signing in with a key that nobody has: as a client that is there, and as ever others that are not."""
    stranger = town.system(CARRIER, town.printer_key)
    known = stranger.client_id
    endpoint = f"{stranger.url}/oauth/token"
    with stranger.connect() as wire:

        def asked(client_id: str) -> float:
            stranger.client_id = client_id
            form = {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": stranger.assertion(),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "keep-alive"}
            headers["DPoP"] = stranger.proof("POST", endpoint)
            body = urlencode(form).encode()
            began = time.perf_counter()
            response = stranger.send(wire, "POST", "/oauth/token", headers, body)
            response.read()
            assert response.status == 401
            return time.perf_counter() - began

        for _number in range(12):  # the first ten of a minute are recorded one by one
            asked(known)
        _as_long(lambda: asked(known), lambda: asked(new_id()))


def test_a_budget_is_the_most_that_leaves(fresh_town: Town) -> None:
    town = fresh_town
    estate = (town.keten.folder / "estate.yaml").read_text()
    before = "purpose: election-cards, form: file"
    town.keten.apply(estate.replace(f"{before}}}", f"{before}, {BUDGET}}}"))
    more = town.keten.folder / "more.csv"
    more.write_text("bsn\n" + "1\n" * 6_000)
    town.keten.run("put", "voters", str(more))
    printer = town.printer()
    by_name = {found["name"]: found["id"] for found in printer.shares()[0]["objects"]}
    assert printer.get(f"/v1/objects/{by_name['voters.csv']}").status == 200  # 20,000 of 25,000
    assert printer.get(f"/v1/objects/{by_name['voters.csv']}").status == 200, "again costs nothing"
    refused_whole = printer.get(f"/v1/objects/{by_name['more.csv']}")
    assert refused_whole.status == 429, "6,000 do not fit in 5,000: refused whole"
    assert (refused_whole.json()["code"], refused_whole.json()["left"]) == ("budget-spent", "5000")
    refused = town.keten.command("ledger", "show", "--json", "--kind", "exchange.object.refused").stdout
    assert [json.loads(line)["reasons"] for line in refused.splitlines()] == [["budget-spent"]]
    assert town.keten.command("ledger", "verify").returncode == 0


def test_names_of_the_organisation_stay_inside(town: Town) -> None:
    carrier = town.carrier()
    outside = json.dumps(carrier.shares()) + carrier.get("/v1/shares").body.decode()
    for name in ("clients-in-care", "care-for-zorgvervoer", "vwo-2", CARRIER, "zorgvervoer"):
        assert name not in outside
