"""Law 3: every operation of every channel is enumerated, and each that gives something out shows its proof, its
decision and its entry; those that hand out content also show that the key came after the entry."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from keten import gateway
from keten.gateway.operations import HTTPS, SFTP, HttpsOperation
from keten.keeper.protocol import GATEWAY_VERBS
from tests.office import Office, key
from tests.town import PRINTER, Town


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The town with its tables, running."""
    made = Office(tmp_path_factory.mktemp("office"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


KINDS = {
    "identity.token": "identity.client.signed_in",
    "exchange.shares": "exchange.shares.listed",
    "exchange.open": "exchange.object.opened",
    "exchange.delivered": "exchange.object.delivered",
}
ROUTING = ("Route", "Mount", "Router", "WebSocketRoute")
# Methods of the library that no packet of a client calls: they format what others return.
NO_OPERATIONS = {"convert_attrs", "format_group", "format_longname", "format_user", "map_path", "reverse_map_path"}
OF_TABLES = {"lookup", "more"}  # these have tests of their own
NEEDS_NO_PROOF = {"metadata", "openapi", "ledger", "health"}


def newest(town: Town, kind: str) -> dict[str, Any]:
    """The newest entry of a kind."""
    done = town.keten.command("ledger", "show", "--json", "--kind", kind)
    lines = done.stdout.splitlines()
    assert lines, f"no entry of kind {kind}"
    entry: dict[str, Any] = json.loads(lines[-1])
    return entry


def path_of(operation: HttpsOperation, share: str, found: str) -> str:
    """A real path for a route."""
    ids = {"/v1/shares/{id}": share, "/v1/objects/{id}": found}
    return operation.path.replace("{id}", ids.get(operation.path, "")).replace("{name:path}", "checkpoint")


def test_routes_are_made_in_one_place_from_the_table() -> None:
    made = [
        (path.name, node.func.id)
        for path in Path(str(gateway.__file__)).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ROUTING
    ]
    assert made == [("http.py", "Route")]


def test_the_description_of_the_interface_has_the_routes_of_the_table(town: Town) -> None:
    described = town.printer().ask("GET", "/openapi.json").json()["paths"]
    known = {"get", "head", "post", "put", "patch", "delete", "options"}
    methods = {path: known & set(item) for path, item in described.items()}
    assert methods == {one.path.replace(":path", ""): {name.lower() for name in one.methods} for one in HTTPS}


def test_every_sftp_method_of_the_library_is_in_the_table() -> None:
    own = {one.method for one in SFTP}
    offered = {
        name
        for name, member in inspect.getmembers(asyncssh.SFTPServer, inspect.isfunction)
        if not name.startswith("_")
    }
    assert offered - NO_OPERATIONS <= own
    assert not NO_OPERATIONS & own


def test_every_verb_of_an_operation_is_the_keepers() -> None:
    verbs = [(one.verb, one.why) for one in HTTPS] + [(one.verb, one.why) for one in SFTP]
    assert all(verb in GATEWAY_VERBS if verb else why for verb, why in verbs)


@pytest.mark.parametrize("operation", [one for one in HTTPS if one.name not in OF_TABLES], ids=lambda one: one.name)
def test_https(town: Town, operation: HttpsOperation) -> None:
    printer = town.printer()
    (share,) = printer.shares()
    found = share["objects"][0]["id"]
    path = path_of(operation, share["id"], found)
    stranger = town.system(PRINTER, town.carrier_key)
    for method in operation.methods:
        size = _size(town)
        without = stranger.ask(method, path)
        if operation.name in NEEDS_NO_PROOF:
            assert without.status == 200
            assert _size(town) == size, "what gives nothing out of the vault makes no entry"
            continue
        assert without.status in (400, 401, 415), "proof: nobody is served without one"  # proof
        stranger.token = printer.token
        assert stranger.get(path, method=method).status in (400, 401, 415), "proof: another key does not do"
        if operation.verb == "identity.token":
            assert printer.sign_in().status == 200
            entry = newest(town, KINDS[operation.verb])
            assert entry["actor"] == printer.client_id
            continue
        answer = printer.get(path, method=method)
        assert answer.status == 200
        entry = _by_id(town, answer.headers["keten-entry"])  # entry
        expected = "exchange.object.described" if (operation.verb, method) == ("exchange.open", "HEAD") else None
        assert entry["kind"] == (expected or KINDS[operation.verb])
        assert entry["outcome"] == "allow"  # decision
        assert entry["actor"] == printer.client_id
        if operation.verb == "exchange.open" and method == "GET":  # key
            assert answer.body == town.voters.read_bytes()
            assert entry["details"]["policies"]
            assert newest(town, KINDS["exchange.delivered"])["details"]["opening"] == entry["id"]


@pytest.mark.parametrize("method", next(one.methods for one in HTTPS if one.name == "lookup"))
def test_lookup(office: Office, method: str) -> None:
    """The one operation that needs a table. What is given is no key: the keeper has read the record."""
    printer = office.town.printer()
    (share,) = [one for one in printer.shares() if one["form"] == "lookup"]
    path, body = f"/v1/lookups/{share['id']}", b""
    extra: dict[str, str] = {}
    if method == "GET":
        path += f"?key={key(5)}&case=C-1"
    else:
        body, extra = json.dumps({"keys": [key(5)], "case": "C-1"}).encode(), {"Content-Type": "application/json"}
    stranger = office.town.system(PRINTER, office.town.carrier_key)
    assert stranger.ask(method, path, extra, body).status == 401  # proof
    stranger.token = printer.token
    assert stranger.ask(method, path, stranger.authorised(method, path, extra), body).status == 401
    answer = printer.ask(method, path, printer.authorised(method, path, extra), body)
    if answer.status == 401:
        printer.nonce = answer.headers["dpop-nonce"]
        answer = printer.ask(method, path, printer.authorised(method, path, extra), body)
    assert answer.json()["records"] == [{"name": "Naam 5", "phone": "0600000005"}]
    (entry,) = [one for one in office.entries() if one["id"] == answer.headers["keten-entry"]]  # entry
    assert (entry["kind"], entry["actor"]) == ("exchange.lookup.answered", printer.client_id)
    assert (entry["outcome"], entry["details"]["policies"]) == ("allow", ["lookup-grant"])  # decision


@pytest.mark.parametrize("method", next(one.methods for one in HTTPS if one.name == "more"))
def test_more(office: Office, method: str) -> None:
    """Asking for more, and hearing what is left: no key, and nothing of the data."""
    printer = office.town.printer()
    (share,) = [one for one in printer.shares() if one["form"] == "lookup"]
    path = f"/v1/shares/{share['id']}/more"
    body, extra = b"", dict[str, str]()
    if method == "POST":
        body, extra = json.dumps({"records": 1, "why": "x"}).encode(), {"Content-Type": "application/json"}
    stranger = office.town.system(PRINTER, office.town.carrier_key)
    assert stranger.ask(method, path, extra, body).status == 401  # proof
    stranger.token = printer.token
    assert stranger.ask(method, path, stranger.authorised(method, path, extra), body).status == 401
    answer = printer.ask(method, path, printer.authorised(method, path, extra), body)
    if answer.status == 401:
        printer.nonce = answer.headers["dpop-nonce"]
        answer = printer.ask(method, path, printer.authorised(method, path, extra), body)
    assert answer.json()["budget"]
    (entry,) = [one for one in office.entries() if one["id"] == answer.headers["keten-entry"]]  # entry
    kind = "budgets.more.asked" if method == "POST" else "budgets.more.told"
    assert (entry["kind"], entry["actor"]) == (kind, printer.client_id)
    assert (entry["outcome"], entry["details"]["policies"]) == ("allow", ["lookup-grant"])  # decision


SFTP_ACTS: dict[str, Callable[[paramiko.SFTPClient, str], Any]] = {
    "scandir": lambda sftp, folder: sftp.listdir(folder),
    "stat": lambda sftp, folder: sftp.stat(f"{folder}/voters.csv"),
    "lstat": lambda sftp, folder: sftp.lstat(f"{folder}/voters.csv"),
    "open": lambda sftp, folder: sftp.open(f"{folder}/voters.csv", "rb").close(),
    "write": lambda sftp, folder: sftp.open(f"{folder}/new.csv", "wb"),
    "setstat": lambda sftp, folder: sftp.chmod(f"{folder}/voters.csv", 0o777),
    "mkdir": lambda sftp, folder: sftp.mkdir(f"{folder}/new"),
    "rmdir": lambda sftp, folder: sftp.rmdir(folder),
    "remove": lambda sftp, folder: sftp.remove(f"{folder}/voters.csv"),
    "rename": lambda sftp, folder: sftp.rename(f"{folder}/voters.csv", f"{folder}/other.csv"),
    "posix_rename": lambda sftp, folder: sftp.posix_rename(f"{folder}/voters.csv", f"{folder}/other.csv"),
    "symlink": lambda sftp, folder: sftp.symlink("voters.csv", f"{folder}/link"),
    "readlink": lambda sftp, folder: sftp.readlink(f"{folder}/voters.csv"),
}


def test_sftp(town: Town) -> None:
    with _sftp(town) as sftp:
        (folder,) = sftp.listdir("/")
        for name, act in SFTP_ACTS.items():
            operation = next(one for one in SFTP if one.method == name)
            before = _size(town)
            if operation.verb:
                act(sftp, folder)
                entry = newest(town, KINDS[operation.verb])
                assert entry["outcome"] == "allow"
                assert entry["actor"] == town.keten.ids["client"][PRINTER]
                if operation.verb == "exchange.open":
                    assert entry["details"]["channel"] == "sftp"
                    assert entry["index"] >= before
            else:
                with pytest.raises(OSError):  # noqa: PT011  # paramiko's errors are OSErrors of many texts
                    act(sftp, folder)
                opened = newest(town, KINDS["exchange.open"])
                assert opened["index"] < before, f"{name} opened something"
    signed_in = newest(town, "identity.client.signed_in")
    assert signed_in["details"]["method"] == "ssh"
    assert signed_in["details"]["vouched"] is False


def test_sftp_gives_what_https_gives(town: Town) -> None:
    with _sftp(town) as sftp:
        (folder,) = sftp.listdir("/")
        with sftp.open(f"{folder}/voters.csv", "rb") as file:
            assert file.read() == town.voters.read_bytes()


class _sftp:  # noqa: N801  # used as a function
    """An SFTP session of the printing house, by paramiko."""

    def __init__(self, town: Town) -> None:
        host, _, port = town.keten.ready["sftp"].rpartition(":")
        self._transport = paramiko.Transport((host, int(port)))
        key = paramiko.Ed25519Key.from_private_key_file(str(town.printer_key.path))
        self._transport.connect(username=town.keten.ids["client"][PRINTER], pkey=key)

    def __enter__(self) -> paramiko.SFTPClient:
        client = paramiko.SFTPClient.from_transport(self._transport)
        assert client is not None
        return client

    def __exit__(self, *_ended: object) -> None:
        self._transport.close()


def _size(town: Town) -> int:
    from keten.keeper.protocol import Nothing, Status

    with town.keten.keeper() as keeper:
        return keeper.call("keeper.status", Nothing(), Status).size


def _by_id(town: Town, entry_id: str) -> dict[str, Any]:
    done = town.keten.command("ledger", "show", "--json")
    return next(entry for entry in map(json.loads, done.stdout.splitlines()) if entry["id"] == entry_id)
