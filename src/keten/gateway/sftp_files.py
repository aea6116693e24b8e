"""What one SFTP session can see: `/`, `/<share>` and `/<share>/<name>`, as the keeper lists it.

The names of shares, and the files that were seen last, are kept for a few seconds; a folder is read a little at a
time. So memory does not grow with what is shared, and a file is found by its name without its folder being listed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import msgspec

from keten.core.errors import NotFound
from keten.gateway.sftp_paths import Path, folder_name
from keten.keeper.protocol import ObjectInfo, Share, Shares

FRESH_SECONDS = 5.0
AT_ONCE = 100
"""Names in one answer to a client. With names of 1,000 bytes it is still shorter than a packet may be (256 KiB)."""
MAX_FILES = 512
"""Files kept for a moment, since clients ask for a file's size and time before they open it."""
Named = tuple[str, ObjectInfo | None]
"""A name in a folder; None: it is a folder itself."""


class Ask(Protocol):
    """Asks the keeper for a page of the listing; raises what the keeper raised. The arguments are of `ShareQuery`."""

    async def __call__(
        self, *, share: str = "", name: str = "", bare: bool = False, cursor: str = "", limit: int = 0
    ) -> Shares:
        """A page."""


def folders_of(shares: Iterable[Share]) -> dict[str, str]:
    """Folder → id of its share. Two shares with one name get a part of their id after it."""
    folders: dict[str, str] = {}
    for share in shares:
        if share.form != "file":
            continue
        name = folder_name(share.label, share.id)
        if name in folders:
            name = f"{name}-{share.id[:6]}"
        folders[name] = share.id
    return folders


class Folder:
    """An open folder: what is read next of it. A client may ask for more before it has its answer."""

    def __init__(self, listing: Listing, share: str, first: list[Named]) -> None:
        self._listing = listing
        self._share = share
        self._lock = asyncio.Lock()
        self._waiting = first
        self._cursor = ""
        self._ended = not share

    async def read(self) -> list[Named]:
        """The next names, at most `AT_ONCE` or a little more; none at the end. Raises what the keeper raised.

        After a failure the same names can be read again: none is lost.
        """
        async with self._lock:
            while not self._waiting and not self._ended:
                found, following = await self._listing.page(self._share, self._cursor)
                self._waiting, self._cursor, self._ended = found, following, not following
            names, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            return names


class _Folders(msgspec.Struct, frozen=True):
    ids: dict[str, str]
    until: float


class _File(msgspec.Struct, frozen=True):
    info: ObjectInfo
    until: float


class Listing:
    """The keeper's listing, as far as a client asks for it. What is kept is forgotten when anything changed."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._folders: _Folders | None = None
        self._asking: asyncio.Future[_Folders] | None = None
        self._files: OrderedDict[tuple[str, str], _File] = OrderedDict()
        self._changes = 0

    async def folders(self) -> dict[str, str]:
        """The folders in "/": name → id of its share. Raises what the keeper raised."""
        if self._folders is not None and time.monotonic() < self._folders.until:
            return self._folders.ids
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._fresh())
        return (await asyncio.shield(self._asking)).ids

    async def folder(self, path: Path) -> Folder | None:
        """The folder at a path, to be read; None when there is none."""
        here: list[Named] = [(".", None), ("..", None)]
        folders = await self.folders()
        if not path:
            return Folder(self, "", here + [(name, None) for name in folders])
        share = folders.get(path[0]) if len(path) == 1 else None
        return Folder(self, share, here) if share else None

    async def file(self, path: Path) -> ObjectInfo | None:
        """The file at a path, looked up by its name; None when there is none. Raises what the keeper raised."""
        if len(path) != 2:
            return None
        share, name = (await self.folders()).get(path[0], ""), path[1]
        kept = self._files.get((share, name))
        if not share or (kept is not None and time.monotonic() < kept.until):
            return kept.info if kept else None
        changes = self._changes
        try:
            found = await self._ask(share=share, name=name)
        except NotFound:
            return None
        self._keep(found, changes)
        return next((one for each in found.shares for one in each.objects), None)

    async def page(self, share: str, cursor: str) -> tuple[list[Named], str]:
        """Names in a share's folder, from where a cursor points; and the cursor of what follows, "" at the end."""
        changes = self._changes
        found = await self._ask(share=share, cursor=cursor, limit=AT_ONCE)
        self._keep(found, changes)
        return [(one.name, one) for each in found.shares for one in each.objects], found.next

    async def _fresh(self) -> _Folders:
        asking = self._asking
        try:
            shares: list[Share] = []
            fresh = FRESH_SECONDS
            cursor = ""
            while True:
                found = await self._ask(bare=True, cursor=cursor)
                shares += found.shares
                fresh = min(fresh, found.valid_for_us / 1_000_000)
                cursor = found.next
                if not cursor:
                    break
            folders = _Folders(folders_of(shares), time.monotonic() + fresh)
            if self._asking is asking:
                self._folders = folders
            return folders
        finally:
            if self._asking is asking:
                self._asking = None

    def _keep(self, found: Shares, changes: int) -> None:
        """Keep the files of a page for a moment, unless something changed since it was asked for."""
        if changes != self._changes:
            return
        until = time.monotonic() + min(FRESH_SECONDS, found.valid_for_us / 1_000_000)
        for share in found.shares:
            for one in share.objects:
                self._files[(share.id, one.name)] = _File(one, until)
                self._files.move_to_end((share.id, one.name))
        while len(self._files) > MAX_FILES:
            self._files.popitem(last=False)

    def forget(self) -> None:
        """Something changed: ask again. What is being asked for now may be of before."""
        self._changes += 1
        self._folders = None
        self._asking = None
        self._files.clear()
