"""A small instance with content, and a backup of it; made once, copied for whoever changes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.town import Town
from tests.unit.backup.made_backups import Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Made once; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    town = Town(folder)
    town.apply()
    town.keten.run("put", "voters", str(town.voters))
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity.txt").write_text(f"{identity}\n")
    recipient = str(identity.to_public())
    taken: dict[str, Any] = town.keten.run("backup", str(folder / "backups"), "--to", recipient)
    return Made(town.keten.home, Path(taken["folder"]), folder / "identity.txt", recipient)


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    """A backup of one's own, to be damaged; its content lies beside it."""
    shutil.copytree(made.backup.parent, tmp_path / "backups")
    return tmp_path / "backups" / made.backup.name
