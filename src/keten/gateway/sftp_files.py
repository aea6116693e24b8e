"""What one SFTP session can see: `/`, `/<share>` and `/<share>/<name>`, as the keeper lists it, for a few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from keten.gateway.sftp_paths import Path, folder_name
from keten.keeper.protocol import ObjectInfo, Shares

FRESH_SECONDS = 5.0


class Tree(msgspec.Struct, frozen=True):
    """Folders by name, and in each its objects by name."""

    folders: dict[str, dict[str, ObjectInfo]]

    def file(self, path: Path) -> ObjectInfo | None:
        """The object at a path."""
        return self.folders.get(path[0], {}).get(path[1]) if len(path) == 2 else None

    def folder(self, path: Path) -> dict[str, ObjectInfo] | None:
        """What is in the folder at a path below "/"."""
        return self.folders.get(path[0]) if len(path) == 1 else None


def tree_of(shares: Shares) -> Tree:
    """The folders of a listing. Two shares with one name get a part of their id after it."""
    folders: dict[str, dict[str, ObjectInfo]] = {}
    for share in shares.shares:
        if share.form != "file":
            continue
        name = folder_name(share.label, share.id)
        if name in folders:
            name = f"{name}-{share.id[:6]}"
        folders[name] = {one.name: one for one in share.objects}
    return Tree(folders)


class Listing:
    """The keeper's listing, asked for at most every `FRESH_SECONDS`, and again at once when something changed."""

    def __init__(self, ask: Callable[[], Awaitable[Shares]]) -> None:
        self._ask = ask
        self._tree: Tree | None = None
        self._until = 0.0
        self._asking: asyncio.Future[Tree] | None = None

    async def tree(self) -> Tree:
        """What can be seen now; raises what the keeper raised."""
        if self._tree is not None and time.monotonic() < self._until:
            return self._tree
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._fresh())
        return await asyncio.shield(self._asking)

    async def _fresh(self) -> Tree:
        asking = self._asking
        try:
            shares = await self._ask()
            tree = tree_of(shares)
            if self._asking is asking:
                self._tree = tree
                self._until = time.monotonic() + min(FRESH_SECONDS, shares.valid_for_us / 1_000_000)
            return tree
        finally:
            if self._asking is asking:
                self._asking = None

    def forget(self) -> None:
        """Something changed: ask again. What is being asked for now may be of before."""
        self._tree = None
        self._asking = None
