"""Listings of any length: twenty thousand files in a dataset, three hundred grants of a client, the longest names."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from keten.drills.supplier import SupplierSystem
from tests.many import add_dataset, add_grants, add_objects
from tests.town import CARRIER, PRINTER, Town

FILES = [f"brief-{n:05}.pdf" for n in range(20_000)]
LABELS = [f"route-{n:03}" for n in range(299)]
ROUTES = ["a.csv", "b.csv", "c.csv"]
LONG = ["\U00020000" * 246 + f"{n:04}" for n in range(1_600)]  # 250 characters, nearly all of 4 bytes


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The printing house sees very many files, the care transport very many shares and a dataset of long names."""
    made = Town(tmp_path_factory.mktemp("town"))
    with made.keten:
        made.start()
        made.keten.down()
        ids = made.keten.ids
        add_objects(made.keten, ids["dataset"]["voters"], FILES)
        add_objects(made.keten, ids["dataset"]["clients-in-care"], LONG)
        routes = add_dataset(made.keten, ids["dataset"]["clients-in-care"], "routes")
        add_objects(made.keten, routes, ROUTES)
        add_grants(made.keten, ids["grant"]["care-for-zorgvervoer"], LABELS, routes)
        made.keten.up()
        yield made


def host_and_port(town: Town) -> tuple[str, str]:
    host, _, port = town.keten.ready["sftp"].rpartition(":")
    return host, port


@pytest.fixture(scope="module")
def known_hosts(town: Town) -> Path:
    host, port = host_and_port(town)
    path = town.keten.folder / "known_hosts"
    path.write_text(f"[{host}]:{port} {town.keten.ready['sftp_host_key']}\n", encoding="utf-8")
    return path


def pages(system: SupplierSystem, path: str = "/v1/shares", limit: int = 1000) -> Iterator[dict[str, Any]]:
    """Every page of a listing."""
    query = f"?limit={limit}"
    while True:
        answer = system.get(path + query)
        assert answer.status == 200, answer.body
        page: dict[str, Any] = answer.json() | {"entry": answer.headers["keten-entry"], "bytes": len(answer.body)}
        yield page
        if page["next"] is None:
            return
        query = f"?limit={limit}&cursor={page['next']}"


def names(page: dict[str, Any]) -> list[str]:
    return [one["name"] for share in page.get("shares", [page]) for one in share["objects"]]


@pytest.mark.slow
def test_every_file_comes_once_and_every_page_is_recorded(town: Town) -> None:
    printer = town.printer()
    found = list(pages(printer))
    assert [name for page in found for name in names(page)] == [*FILES, "voters.csv"]
    assert len(found) == 21
    assert max(len(names(page)) for page in found) == 1000
    done = town.keten.command("ledger", "show", "--json", "--kind", "exchange.shares.listed")
    recorded = {entry["id"]: entry["details"] for entry in map(json.loads, done.stdout.splitlines())}
    listed = [recorded[page["entry"]] for page in found]
    assert [one["objects"] for one in listed] == [len(names(page)) for page in found]
    assert [one["goes_on"] for one in listed] == [False] + [True] * 20
    share = found[0]["shares"][0]["id"]
    alone = list(pages(printer, f"/v1/shares/{share}", 7_000_000))
    assert [name for page in alone for name in names(page)] == [*FILES, "voters.csv"]
    assert [page["id"] for page in alone] == [share] * 21


@pytest.mark.slow
def test_three_hundred_shares(town: Town, known_hosts: Path) -> None:
    seen: dict[str, list[str]] = {}
    for page in pages(town.carrier(), limit=500):
        assert len(page["shares"]) <= 500
        assert len(names(page)) <= 500
        for share in page["shares"]:
            seen.setdefault(share["label"], []).extend(one["name"] for one in share["objects"])
    assert seen == {"care-transport": ["care.bin", *LONG]} | dict.fromkeys(LABELS, ROUTES)
    folders = listed_by(town, known_hosts, "sftp", CARRIER, "/")
    assert sorted(folders) == ["care-transport", *LABELS]


@pytest.mark.slow
def test_the_longest_names_make_pages_shorter(town: Town) -> None:
    carrier = town.carrier()
    share = town.keten.ids["grant"]["care-for-zorgvervoer"]
    found = list(pages(carrier, f"/v1/shares/{share}"))
    assert [name for page in found for name in names(page)] == ["care.bin", *LONG]
    assert len(found) == 3
    assert max(page["bytes"] for page in found) < 1_200_000


@pytest.mark.slow
def test_one_file_by_its_path_or_id(town: Town) -> None:
    printer = town.printer()
    (share,) = printer.get(f"/v1/shares?path=/election-cards/{FILES[15_000]}").json()["shares"]
    (listed,) = share["objects"]
    assert (listed["name"], share["label"]) == (FILES[15_000], "election-cards")
    assert printer.get(f"/v1/shares?object={listed['id']}").json()["shares"] == [share]
    foreign = town.carrier().get(f"/v1/shares/{town.keten.ids['grant']['care-for-zorgvervoer']}?limit=1").json()
    hidden = {
        printer.get(f"/v1/shares?{query}").status
        for query in (
            "path=/election-cards/none.csv",
            f"path=/none/{FILES[0]}",
            f"path=/care-transport/{quote('care.bin')}",
            f"object={foreign['objects'][0]['id']}",
            "object=" + "a" * 25 + "e",
        )
    }
    assert hidden == {404}


@pytest.mark.slow
def test_a_cursor_of_somebody_else_or_of_another_listing_is_refused(town: Town) -> None:
    printer, carrier = town.printer(), town.carrier()
    own = printer.get("/v1/shares?limit=1").json()
    foreign = carrier.get("/v1/shares?limit=1").json()["next"]
    share = own["shares"][0]["id"]
    answers = [
        printer.get(f"/v1/shares?cursor={cursor}")
        for cursor in (foreign, own["next"][:-2], own["next"] + "AA", "x", "A" * 200)
    ]
    answers.append(printer.get(f"/v1/shares/{share}?cursor={own['next']}"))
    assert {answer.status for answer in answers} == {400}
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        del body["request_id"], body["instance"]
    assert [body for body in bodies if body != bodies[0]] == []
    assert printer.get(f"/v1/shares?limit=1&cursor={own['next']}").status == 200


@pytest.mark.slow
def test_files_that_are_put_between_pages(town: Town) -> None:
    printer = town.printer()
    turning = pages(printer)
    seen = [names(next(turning)) for _page in range(3)]
    for name in ("brief-00000a.pdf", "brief-19999a.pdf"):
        path = town.keten.folder / name
        path.write_bytes(b"new")
        town.keten.run("put", "voters", str(path))
    seen += [names(page) for page in turning]
    assert sorted(name for page in seen for name in page) == sorted([*FILES, "brief-19999a.pdf", "voters.csv"])


# ---- by the clients that suppliers have -----------------------------------------------------------------------------


def listed_by(
    town: Town, known_hosts: Path, tool: str, who: str = PRINTER, folder: str = "/election-cards"
) -> list[str]:
    client, key = town.keten.ids["client"][who], {PRINTER: town.printer_key, CARRIER: town.carrier_key}[who].path
    host, port = host_and_port(town)
    options = ["-i", str(key), "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={known_hosts}", "-F", "none"]
    said = ""
    if tool == "sftp":
        line = ["sftp", "-q", "-b", "-", "-P", port, *options, f"{client}@{host}"]
        said = f"cd {folder}\nls -1\n"
    elif tool == "lftp":
        connect = " ".join(["ssh", "-a", "-x", *options])
        do = f"set sftp:connect-program '{connect}'; open -u {client}, -p {port} sftp://{host}; cls -1 {folder}/"
        line = ["lftp", "-c", do]
    else:
        remote = f":sftp,host={host},port={port},user={client},key_file={key},known_hosts_file={known_hosts}"
        line = ["rclone", "--config", "", "lsf", f"{remote},shell_type=none:{folder}"]
    done = subprocess.run(line, input=said, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [row for row in done.stdout.splitlines() if not row.startswith("sftp>")]
    return [row.rpartition("/")[2].strip() for row in rows]


@pytest.mark.parametrize("tool", [pytest.param("sftp", marks=pytest.mark.slow), "lftp", "rclone"])
def test_a_folder_of_twenty_thousand_files(town: Town, known_hosts: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    found = [name for name in listed_by(town, known_hosts, tool) if not name.startswith("brief-") or "a" not in name]
    assert sorted(found) == [*FILES, "voters.csv"]


@pytest.mark.slow
def test_the_suppliers_command_follows_every_page(town: Town) -> None:
    client = town.keten.ids["client"][PRINTER]
    for words in (
        ("login", town.keten.ready["gateway"], "--client", client, "--key", str(town.printer_key.path)),
        ("get", "election-cards/voters.csv", "-o", str(town.keten.folder / "got.csv")),
    ):
        ca = ("--ca", str(town.keten.paths.ca)) if words[0] == "login" else ()
        done = town.keten.command(*words, *ca, home=False)
        assert done.returncode == 0, done.stderr
    assert (town.keten.folder / "got.csv").read_bytes() == town.voters.read_bytes()
    done = town.keten.command("ls", "--json", home=False)
    found = {one["path"] for one in json.loads(done.stdout)}
    assert found >= {f"/election-cards/{name}" for name in [*FILES, "voters.csv"]}
