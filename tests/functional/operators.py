"""A town whose operators are users of this machine: root, and others by number, each known by the kernel's word."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import pytest

from keten.core.db import reading_engine
from keten.keeper.client import KeeperClient
from keten.keeper.subject_protocol import Approve, Erase, Outcome
from keten.ledger.faults import Report
from keten.ledger.query import Filter, find
from keten.ledger.reading import flatten
from keten.ledger.verify import verify
from keten.subjects import requests as _requests  # noqa: F401  # declares its rows, or they would not be verified
from keten.suppliers import register as _register  # noqa: F401  # as above
from keten.vault import service as _service  # noqa: F401  # as above
from tests.cluster import chosen
from tests.functional.separate import Python
from tests.town import SETTINGS, Town

T = TypeVar("T")
ANNA, BERT, STRANGER = 64021, 64022, 64023
OPERATORS = f'{SETTINGS}[keeper]\noperator_users = ["{ANNA}", "{BERT}"]\n'


def within_reach(steps: list[dict[str, str]]) -> list[dict[str, str]]:
    """The steps but for the one that nobody here can do where the state is on a server: what its files still hold."""
    return [one for one in steps if not (chosen() and one["step"] in ("log", "files"))]


class Operators:
    """The running town, and commands that its operators give. Use as a context manager; needs root."""

    def __init__(self, settings: str = OPERATORS) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can act as several users")
        self.python = Python()
        self.folder = Path(tempfile.mkdtemp(prefix="keten-operators-"))
        self.folder.chmod(0o755)
        self.town = Town(self.folder)
        self.home = self.town.keten.home
        self.town.keten.configure(settings)

    def start(self) -> None:
        """Run it, with its content; the operators' group may reach the operator's socket."""
        self.town.start()
        self.reachable()

    def reachable(self) -> None:
        """What the manual does with a group."""
        self.town.keten.paths.operator_socket.parent.chmod(0o755)

    def out_of_reach(self) -> None:
        """For whoever is not in the group, as it is made."""
        self.town.keten.paths.operator_socket.parent.chmod(0o750)

    def command(self, user: int, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `keten WORDS` as a user of this machine."""
        return self.python.run(user, "-m", "keten", *words, "--home", str(self.home))

    def run(self, user: int, *words: str, expect: int = 0) -> Any:
        """Run `keten WORDS --json` as a user; its result."""
        done = self.command(user, *words, "--json")
        assert done.returncode == expect, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    def ask(self, user: int, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say a verb on the keeper's socket as a user of this machine: much sooner done than a whole command."""
        os.seteuid(user)  # what the kernel says of whoever connects (unix(7), SO_PEERCRED)
        try:
            client = KeeperClient(self.town.keten.paths.operator_socket)
        finally:
            os.seteuid(0)
        with client:
            return client.call(verb, body, answer)

    def erase(self, user: int, subject: str) -> Outcome:
        """Ask for an erasure."""
        return self.ask(user, "subjects.erase", Erase(subject, "a test"), Outcome)

    def approve(self, user: int, request: str) -> Outcome:
        """Approve a request."""
        return self.ask(user, "subjects.approve", Approve(request), Outcome)

    def entries(self, **asked: str) -> list[dict[str, Any]]:
        """Entries of the ledger, as `keten ledger show --json` has them. asked: as of `keten.ledger.query.Filter`."""
        engine = reading_engine(self.town.keten.place)
        try:
            with engine.connect() as connection:
                found = [flatten(entry) for entry in find(connection, Filter(**asked))]  # type: ignore[arg-type]  # texts
        finally:
            engine.dispose()
        return [json.loads(msgspec.json.encode(entry)) for entry in found]

    def verified(self) -> Report:
        """A verification; all of it holds."""
        report = verify(self.town.keten.place, self.town.keten.paths.ledger, processes=1)
        assert [str(fault) for fault in report.faults] == []
        return report

    def __enter__(self) -> Self:
        self.town.keten.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.town.keten.__exit__(kind, error, at)
        shutil.rmtree(self.folder, ignore_errors=True)
