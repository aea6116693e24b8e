"""Backups as an erasure sees them: copies that lose what is erased when their keys part is written anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keten.backup.keys import renew_keys
from keten.backup.service import forgotten, known
from keten.core.db import translated
from keten.keeper.trusted import Trusted

_SHOWN = 3


class KnownBackups:
    """The backups that this instance knows."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def foreseen(self) -> Sequence[str]:
        """The backups that are out of reach now, and those of which an operator said that they are gone."""
        with translated(), self._trusted.reader.connect() as connection:
            away = [_out_of_reach(one.folder) for one in known(connection) if not Path(one.folder).is_dir()]
        return [*away, *self.gone()]

    def gone(self) -> Sequence[str]:
        """The backups of which an operator said that they do not exist any more, in one sentence."""
        with translated(), self._trusted.reader.connect() as connection:
            folders = [one.folder for one in forgotten(connection)]
        return _forgotten(folders)

    def any(self) -> bool:
        """Whether there is a backup at all."""
        with translated(), self._trusted.reader.connect() as connection:
            return bool(known(connection))

    def renew_keys(self) -> Sequence[str]:
        """Write every keys part anew from the keys that are left; the backups for which that could not be done.

        Raises `FsyncFailed`.
        """
        with translated(), self._trusted.reader.connect() as connection:
            renewed = renew_keys(connection, known(connection), self._trusted.secrets())
        return [f"{_out_of_reach(folder)} ({why})" for folder, why in renewed.unreached]


def _out_of_reach(folder: str) -> str:
    return (
        f"the backup {folder} is out of reach, and holds what is erased, with keys that open it in other backups too, "
        "until it can be reached: then its keys part is written anew"
    )


def _forgotten(folders: Sequence[str]) -> Sequence[str]:
    if not folders:
        return ()
    named = ", ".join(folders[-_SHOWN:])
    those = f"backups that were forgotten ({len(folders)}; the newest: {named})"
    return [f"{those}: one that still exists holds what is erased, with its keys: destroy it"]
