"""What the vault keeps, and what its verbs answer."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from keten.ledger.bound import BoundRow

State = Literal["present", "destroyed"]


class Object(BoundRow, frozen=True, kw_only=True):
    """One file of a dataset; `name` is its file name.

    storage: the blob's key in the store. size: content bytes. digest: "sha-256=:<base64>:" (RFC 9530) of the content.
    records: how many records a recipient receives with it. expires_us 0: kept until someone destroys it.
    reason: why it was destroyed, else "".
    """

    dataset: str
    storage: str
    size: int
    digest: str
    media_type: str
    records: int
    put_us: int
    expires_us: int = 0
    state: State = "present"
    reason: str = ""


class HoldsContent(Protocol):
    """What the vault needs to know of a dataset (the type itself lives in a room above)."""

    @property
    def id(self) -> str:
        """The dataset's random id."""

    @property
    def retention_days(self) -> int:
        """How long content is kept, in days; 0: no limit."""


class Put(msgspec.Struct, frozen=True):
    """A put under way. `wrapped`: its content key, wrapped. `digest` "" and `size` -1: not told beforehand."""

    object: str
    dataset: str
    storage: str
    name: str
    media_type: str
    size: int
    digest: str
    replaces: bool
    retention_days: int
    begun_us: int
    wrapped: bytes


class Ready(msgspec.Struct, frozen=True):
    """Where new content goes and the key that seals it. `unchanged`: it is there already, as `object`; no key."""

    object: str
    storage: str
    key: bytes
    unchanged: bool = False


class Stored(msgspec.Struct, frozen=True):
    """A put that was committed. `index`: its entry. `removed`: blobs to delete once the transaction is durable.

    `unchanged`: the same content was put under this name meanwhile; that one was kept.
    """

    index: int
    object: Object
    removed: tuple[str, ...] = ()
    unchanged: bool = False


class Destroyed(msgspec.Struct, frozen=True):
    """`index`: the entry, None when it was destroyed before. `removed`: blobs to delete once it is durable."""

    index: int | None
    removed: tuple[str, ...] = ()


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did: objects destroyed, blobs to delete once it is durable, objects whose row does not hold."""

    objects: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class WrappedKey(msgspec.Struct, frozen=True):
    """An object's content key as stored: under its dataset's key, which is itself wrapped."""

    dataset: str
    object: str
    dataset_key: bytes
    content_key: bytes
