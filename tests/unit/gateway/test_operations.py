"""The table of operations is the whole of what the gateway answers: an operation that is not in it fails here."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.sftp import SFTPServerHandler
from starlette.routing import Route

from keten.core.storage import LocalStore
from keten.gateway.accesses import Accesses
from keten.gateway.content import Contents
from keten.gateway.http import Gateway, build
from keten.gateway.ledger_files import LedgerFiles
from keten.gateway.operations import HTTPS, SFTP, HttpsOperation, SftpOperation
from keten.gateway.problems import KINDS
from keten.gateway.sftp import SPOKEN, FileServer, Handler
from keten.keeper.protocol import GATEWAY_VERBS

# What the library's interface has beside operations: the channel's own properties, and how names are shown.
NOT_OPERATIONS = {
    "channel",
    "connection",
    "env",
    "logger",
    "convert_attrs",
    "format_user",
    "format_group",
    "format_longname",
    "map_path",
    "reverse_map_path",
}


def api() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("keten.gateway").joinpath("openapi.json").read_text("utf-8"))
    return found


def test_the_routes_are_the_table(tmp_path: Path) -> None:
    contents = Contents(LocalStore(tmp_path))
    router = build(Gateway(Accesses(contents, 1.0), LedgerFiles(tmp_path), "https://x"))
    contents.stop()
    assert all(isinstance(route, Route) for route in router.routes), "nothing is mounted beside the table"
    routes = {(route.path, frozenset(route.methods or ())) for route in router.routes if isinstance(route, Route)}
    assert routes == {(one.path, frozenset(one.methods)) for one in HTTPS}
    assert not router.redirect_slashes


def test_every_method_of_the_sftp_interface_is_in_the_table_and_answered_by_us() -> None:
    interface = {name for name in vars(asyncssh.SFTPServer) if not name.startswith("_")} - NOT_OPERATIONS
    assert interface == {one.method for one in SFTP}
    for name in interface:
        assert name in vars(FileServer), f"{name} would fall back to the library's file-backed server"


def test_every_packet_that_is_answered_goes_to_a_method_of_the_table() -> None:
    assert set(Handler._packet_handlers) == set(SPOKEN)
    methods = {one.method for one in SFTP}
    for kind, guarded in Handler._packet_handlers.items():
        assert guarded is not None
        handler = inspect.unwrap(guarded)
        assert handler is getattr(Handler, handler.__name__), f"{kind!r} would go past what we override"
        called = set(re.findall(r"self\._server\.(\w+)\(", inspect.getsource(handler)))
        assert called <= methods | NOT_OPERATIONS, kind


def test_what_reaches_for_the_machines_files_is_not_spoken() -> None:
    left_out = {kind for kind in SFTPServerHandler._packet_handlers if kind not in SPOKEN}
    assert {b"copy-data", b"ranges@asyncssh.com"} <= left_out


def test_every_operation_needs_the_keeper_or_says_why_not() -> None:
    every: list[HttpsOperation | SftpOperation] = [*HTTPS, *SFTP]
    for one in every:
        assert bool(one.verb) != bool(one.why), one
        assert not one.verb or one.verb in GATEWAY_VERBS


def test_the_description_has_every_operation() -> None:
    described = {
        (path, method.upper())
        for path, methods in api()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    table = {
        (one.path.replace("{name:path}", "{name}"), method)
        for one in HTTPS
        for method in one.methods
    }
    assert described == table


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_the_description_refers_to_what_it_has() -> None:
    document = api()
    assert document["openapi"].startswith("3.1.")
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_the_description_names_every_problem() -> None:
    document = api()
    said = json.dumps(document)
    for kind, text in KINDS.items():
        if kind != "conflict":  # nothing in this interface is a conflict yet
            assert re.search(rf"\b{text.status}\b", said), kind
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) <= set(problem["properties"])


@pytest.mark.parametrize("operation", HTTPS, ids=lambda one: one.name)
def test_operations_are_named_once(operation: Any) -> None:
    assert [one.name for one in HTTPS].count(operation.name) == 1
    paths = api()["paths"][operation.path.replace("{name:path}", "{name}")]
    assert operation.name in {details["operationId"] for method, details in paths.items() if method != "parameters"}


def test_the_gateway_loads_nothing_that_decides_or_remembers() -> None:
    """Law 2, as far as imports show it: no database, no policies, no room of the keeper's but what is said to it."""
    code = "import sys, keten.gateway.main; print('\\n'.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    forbidden = {"sqlalchemy", "sqlite3", "cedarpy", "alembic", "joserfc", "keten.core.db", "keten.vault.keys"}
    assert not loaded & forbidden
    rooms = {name.split(".")[1] for name in loaded if name.startswith("keten.")}
    assert rooms <= {"budgets", "core", "gateway", "keeper", "ledger", "vault", "watch"}
    assert {name for name in loaded if name.startswith("keten.budgets.")} == {"keten.budgets.model"}
    words = ("budget", "follow", "people", "portal", "provider", "put", "record", "recovery", "rights")
    others = ("subject", "system", "watch", "witness")
    bodies = ("protocol", "caller", *(f"{word}_protocol" for word in (*words, *others)))
    said = {f"keten.keeper.{one}" for one in bodies}
    assert {name for name in loaded if name.startswith("keten.keeper.")} == said
