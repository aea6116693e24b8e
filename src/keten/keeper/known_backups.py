"""Backups as an erasure sees them: copies that lose what is erased when their keys part is written anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keten.backup.keys import renew_keys
from keten.backup.service import known
from keten.core.db import translated
from keten.keeper.trusted import Trusted


class KnownBackups:
    """The backups that this instance knows."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def foreseen(self) -> Sequence[str]:
        """The backups that are out of reach now."""
        with translated(), self._trusted.reader.connect() as connection:
            return [_out_of_reach(one.folder) for one in known(connection) if not Path(one.folder).is_dir()]

    def renew_keys(self) -> Sequence[str]:
        """Write every keys part anew from the keys that are left; the backups for which that could not be done.

        Raises `FsyncFailed`.
        """
        with translated(), self._trusted.reader.connect() as connection:
            renewed = renew_keys(connection, known(connection), self._trusted.secrets())
        return [f"{_out_of_reach(folder)} ({why})" for folder, why in renewed.unreached]


def _out_of_reach(folder: str) -> str:
    return f"the backup {folder} is out of reach, and holds what is erased until its keys part is written anew"
