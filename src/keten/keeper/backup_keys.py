"""What a backup's keys part holds of the keeper's secrets; and finishing a move whose backup was stopped half-way."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine

from keten.backup import service as backups
from keten.backup.keys import Secrets, write_keys
from keten.backup.model import Known
from keten.core.db import translated
from keten.core.errors import Invalid, Unavailable
from keten.core.settings import Settings
from keten.keeper.rootkey import load_root_key
from keten.ledger.notes import Verifier

_FOLDERS = {"keeper", "db", "store", "ledger", "gateway", "run", "worker"}
_OWN = _FOLDERS | {"keten.toml", "ca.pem", "restore.json"}
_MOST_BYTES = 4 << 20


def secrets_of(settings: Settings, kind: str) -> Secrets:
    """The root key as it is kept (`kind`: bare, passphrase or credential), and what it seals. Raises `OSError`.

    With them the settings, and the files in the home that these name, without which no keeper would start.
    """
    paths = settings.paths
    wanted = [paths.keeper / "authority.sealed", paths.ca, paths.settings, paths.ssh_host_key]
    wanted += [paths.home / name for name in settings.kept_files if is_beside(name)]
    found = {str(path.relative_to(paths.home)): data for path in wanted if (data := _content(path)) is not None}
    return Secrets(kind, b"" if kind == "credential" else paths.root_key.read_bytes(), found)


def is_beside(name: str) -> bool:
    """Whether a name in the settings is of a file in the home, and in none of the instance's own folders."""
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts and parts[0] not in _OWN


def unfinished_move(engine: Engine, key: str) -> Known | None:
    """The backup of an instance that was sealed for a move, if it was; `key`: its ledger's verifier key."""
    origin = Verifier.parse(key).name
    with translated(), engine.connect() as connection:
        mine = [each for each in backups.all_lives(connection) if each.origin == origin]
        begun = backups.known(connection)
    if not mine or mine[-1].state != backups.MOVED:
        return None
    if not begun:
        raise Invalid("not-moved", "This instance was moved, and does not know by which backup.")
    return begun[-1]


def write_moved_keys(settings: Settings, connection: Connection, known: Known) -> None:
    """The keys part of a move, of an instance whose keeper does not start any more. Raises as `write_keys`."""
    try:
        kind = load_root_key(settings, None).kind
    except Unavailable:
        if settings.paths.root_key.exists():
            raise
        kind = "credential"
    write_keys(connection, known, secrets_of(settings, kind))


def _content(path: Path) -> bytes | None:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None
