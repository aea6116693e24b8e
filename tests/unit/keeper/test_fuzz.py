"""A real keeper under random bytes, random bodies and mutated good requests on its sockets: it never dies."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.ids import new_id
from keten.core.settings import Paths, Settings
from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.instance import create_instance
from keten.keeper.people_protocol import FACE_VERBS, PERSON_VERBS
from keten.keeper.protocol import CONSOLE_VERBS, GATEWAY_VERBS, OPERATOR_VERBS, Nothing, Request, Status

WORDS = ("", "x", "a" * 26, new_id(), "\0", "x.y.z", "voters", "client", "127.0.0.1", "https://a/b", "\u202e", "é" * 99)
ROUNDS = 300
# Each of these would wait for something that only a gateway or a long time brings.
NOT_FUZZED = {"ledger.locate"}


class Process:
    """`keten _keeper` on a new instance."""

    def __init__(self, home: Path) -> None:
        create_instance(Settings(home=str(home)), ("localhost",), None)
        self.paths = Paths(home)
        with (home.parent / "log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "keten", "_keeper", "--home", str(home)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline())["ready"]

    def status(self) -> Status:
        with KeeperClient(self.paths.operator_socket, timeout=60) as client:
            return client.call("keeper.status", Nothing(), Status)


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("fuzzed") / "i")
    yield made
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(60) == 0, "it stopped in good order"
    assert made.process.stdout is not None
    made.process.stdout.close()


def _value(chance: random.Random, depth: int = 0) -> Any:
    """Anything that MessagePack can say."""
    simple: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.choice((True, False)),
        lambda: chance.choice((0, -1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, chance.randrange(1000))),
        lambda: chance.choice((0.0, float("nan"), float("inf"), -1e308)),
        lambda: chance.choice(("", "x", "\0", "../..", new_id(), "é" * 20, "operator:root", "x" * 5000)),
        lambda: chance.randbytes(chance.randrange(80)),
    ]
    if depth < 3 and chance.random() < 0.3:
        if chance.random() < 0.5:
            return [_value(chance, depth + 1) for _ in range(chance.randrange(5))]
        return {f"k{number}": _value(chance, depth + 1) for number in range(chance.randrange(5))}
    return chance.choice(simple)()


def _fits(chance: random.Random, kind: Any) -> Any:
    """A value of the type that a verb expects, with content of every bad kind."""
    fields = {}
    for field in msgspec.structs.fields(kind):
        name = str(field.type)
        if field.type is str:
            fields[field.name] = _value(chance) if chance.random() < 0.05 else chance.choice(WORDS)
        elif field.type is int:
            fields[field.name] = chance.choice((0, 1, -1, 7, 2**62, -(2**62), 2**63 - 1, 2**64 - 1))
        elif field.type is bool:
            fields[field.name] = chance.choice((True, False))
        elif field.type is bytes:
            fields[field.name] = chance.randbytes(chance.choice((0, 1, 32, 51, 83, 500)))
        elif "HttpProof" in name:
            fields[field.name] = chance.choice((None, _fits(chance, said.HttpProof)))
        elif "SessionProof" in name:
            fields[field.name] = chance.choice((None, _fits(chance, said.SessionProof)))
        elif "PersonProof" in name:
            fields[field.name] = _fits(chance, people.PersonProof)
        elif "Finished" in name:
            fields[field.name] = chance.choice((None, _fits(chance, people.Finished)))
        elif "Caller" in name:
            fields[field.name] = _fits(chance, said.Caller)
        elif "tuple" in name:
            fields[field.name] = [chance.choice(("", "localhost", "a b", "é" * 80)) for _ in range(chance.randrange(3))]
        else:
            fields[field.name] = _value(chance)
    return fields


def _frame(number: int, name: str, body: Any) -> bytes:
    raw = msgspec.msgpack.encode(Request(number, name, msgspec.Raw(msgspec.msgpack.encode(body))))
    return struct.pack(">I", len(raw)) + raw


def _welcomed(wire: socket.socket) -> None:
    """Say hello and wait for the answer: before it a gateway is told nothing else."""
    wire.settimeout(60)
    wire.sendall(_frame(1, "keeper.hello", said.Hello("fuzzed", "0")))
    with wire.makefile("rb") as answers:
        (length,) = struct.unpack(">I", answers.read(4))
        assert len(answers.read(length)) == length


def _say(path: Path, raw: bytes, *, hello: bool) -> None:
    """Say it, and listen for a moment, so that answers are made."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(str(path))
        if hello:
            _welcomed(wire)
        wire.settimeout(0.02)
        with suppress(OSError):
            wire.sendall(raw)
            while wire.recv(65536):
                pass


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_it_never_dies(keeper: Process, seed: int) -> None:
    chance = random.Random(seed)
    sockets = (
        (keeper.paths.gateway_socket, GATEWAY_VERBS | FACE_VERBS),
        (keeper.paths.operator_socket, OPERATOR_VERBS | PERSON_VERBS),
        (keeper.paths.console_socket, CONSOLE_VERBS),
    )
    for number in range(1, ROUNDS):
        path, verbs = chance.choice(sockets)
        name = chance.choice([verb for verb in verbs if verb not in NOT_FUZZED])
        raw = _frame(number, name, _fits(chance, verbs[name][0]))
        match chance.randrange(5):
            case 0:
                raw = _frame(number, name, _value(chance))
            case 1:
                at = chance.randrange(4, len(raw))
                raw = raw[:at] + chance.randbytes(1) + raw[at + 1 :]
            case 2:
                raw = raw[: chance.randrange(len(raw))]
            case 3:
                raw = chance.randbytes(chance.randrange(1, 400))
            case _:
                raw += _frame(number + 1, name, _fits(chance, verbs[name][0]))
        _say(path, raw, hello=path == keeper.paths.gateway_socket and chance.randrange(4) > 0)
    assert keeper.process.poll() is None
    assert keeper.status().origin


def test_what_it_wrote_meanwhile_holds(keeper: Process) -> None:
    deadline = time.monotonic() + 60
    while (found := keeper.status()).published < found.size:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = subprocess.run(
        [sys.executable, "-m", "keten", "ledger", "verify", "--home", str(keeper.paths.home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_fault_of_ours_was_met(keeper: Process) -> None:
    """Whatever was said, the answer was one that we foresaw."""
    log = (keeper.paths.home.parent / "log").read_text()
    assert "Traceback" not in log, log[-3000:]
    assert os.path.lexists(keeper.paths.gateway_socket)
