"""An exported log to look at, and the auditor's tool as a module."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer
from tests.interop.ledger.exported import TOOL, export, make_log
from tests.unit.ledger.published_log import Log


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("ledger.example/keten", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Log:
    """600 entries: two full bundles and a partial one, two levels."""
    return make_log(tmp_path_factory.mktemp("log") / "ledger", signer, [1, 100, 256, 300, 512, 600])


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, log: Log) -> Path:
    return export(log, tmp_path_factory.mktemp("export") / "of-600")


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "copy"))


@pytest.fixture(scope="session")
def tool() -> Iterator[ModuleType]:
    """The program as a module, for what would take too long as a process each time."""
    spec = importlib.util.spec_from_file_location("keten_verify", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["keten_verify"] = module
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("keten_verify", None)
