"""Commands run in this process, with surroundings of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keten.app import settings
from keten.cli.main import run
from keten.cli.surroundings import Surroundings
from tests.unit.cli.other_side import CLIENT, OtherSide


class Done(msgspec.Struct, frozen=True):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Keten = Callable[..., Done]


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(home="", config=tmp_path / "config", language="en", proxies={}, settings=settings)


@pytest.fixture
def keten(surroundings: Surroundings, capfd: pytest.CaptureFixture[str]) -> Keten:
    def call(*words: str, **changes: Any) -> Done:
        capfd.readouterr()
        code = run(list(words), msgspec.structs.replace(surroundings, **changes))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def home(tmp_path: Path, keten: Keten) -> Path:
    """A new instance."""
    made = tmp_path / "i"
    done = keten("init", "--home", str(made))
    assert done.code == 0, done.err
    return made


@pytest.fixture
def private_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def key_file(tmp_path: Path, private_key: Ed25519PrivateKey) -> Path:
    path = tmp_path / "key"
    path.write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return path


@pytest.fixture
def other(tmp_path: Path, private_key: Ed25519PrivateKey) -> Iterator[OtherSide]:
    """An instance to meet, which behaves unless told otherwise."""
    folder = tmp_path / "other"
    folder.mkdir()
    side = OtherSide(folder, private_key)
    side.start()
    yield side
    side.stop()


@pytest.fixture
def sign_in(other: OtherSide, key_file: Path, keten: Keten) -> Callable[[], Done]:
    """`keten login` at the other side."""

    def call() -> Done:
        return keten("login", other.url, "--client", CLIENT, "--key", str(key_file), "--ca", str(other.ca))

    return call


@pytest.fixture
def signed_in(other: OtherSide, sign_in: Callable[[], Done]) -> OtherSide:
    done = sign_in()
    assert done.code == 0, done.err
    other.asked.clear()
    return other
