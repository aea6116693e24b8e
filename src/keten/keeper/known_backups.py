"""Backups as an erasure sees them: copies that lose what is erased when their keys part is written anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keten.backup.keys import renew_keys
from keten.backup.service import Life, all_lives, forgotten, known
from keten.core.clock import rfc3339
from keten.core.db import translated
from keten.keeper.trusted import Trusted

_SHOWN = 3


class KnownBackups:
    """The backups that this instance knows."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def foreseen(self) -> Sequence[str]:
        """The backups that are out of reach now, and those of `gone`."""
        with translated(), self._trusted.reader.connect() as connection:
            away = [_out_of_reach(one.folder) for one in known(connection) if not Path(one.folder).is_dir()]
        return [*away, *self.gone()]

    def gone(self) -> Sequence[str]:
        """The backups from which no key is taken: those that are gone, as an operator said, and those unknown here.

        Of a restored instance the latter are what the one before it made after the backup that it came from.
        """
        with translated(), self._trusted.reader.connect() as connection:
            folders = [one.folder for one in forgotten(connection)]
            since = [each for each in all_lives(connection) if each.before is not None]
        return [*_forgotten(folders), *_unknown(since)]

    def any(self) -> bool:
        """Whether there is a backup at all."""
        with translated(), self._trusted.reader.connect() as connection:
            return bool(known(connection))

    def renew_keys(self) -> Sequence[str]:
        """Write every keys part anew from the keys that are left; the backups for which that could not be done."""
        with translated(), self._trusted.reader.connect() as connection:
            renewed = renew_keys(connection, known(connection), self._trusted.secrets())
        return [f"{_out_of_reach(folder)} ({why})" for folder, why in renewed.unreached]


def _out_of_reach(folder: str) -> str:
    return (
        f"the backup {folder} is out of reach, and holds what is erased, with keys that open it in other backups too, "
        "until it can be reached: then its keys part is written anew"
    )


def _unknown(lives: Sequence[Life]) -> Sequence[str]:
    if not lives:
        return ()
    times = ", ".join(rfc3339(one.since_us) for one in lives[-_SHOWN:])
    which = f"backups that were made before a restore ({times}) and after the backup that was restored then"
    return [f"{which} are not known here: one that still exists holds what is erased, with its keys: destroy it"]


def _forgotten(folders: Sequence[str]) -> Sequence[str]:
    if not folders:
        return ()
    named = ", ".join(folders[-_SHOWN:])
    those = f"backups that were forgotten ({len(folders)}; the newest: {named})"
    return [f"{those}: one that still exists holds what is erased, with its keys: destroy it"]
