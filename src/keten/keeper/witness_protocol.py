"""What the worker says to the keeper about outside signatures, on the operator's socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec


class AskOutside(msgspec.Struct, frozen=True):
    """What is signed, and what waits to be."""


class Heard(msgspec.Struct, frozen=True):
    """What a witness answered instead of a cosignature.

    witness: its name in the policy. code: "unreachable", "refused", "ahead" (it has cosigned a larger head than was
    shown to it) or "fork" (it holds another root). there: the size that it has, as it says; 0 when it did not.
    """

    witness: str
    code: str
    what: str
    size: int = 0
    there: int = 0


class Cosigned(msgspec.Struct, frozen=True):
    """A published checkpoint (its note), the signature lines that witnesses gave for it, and what others answered."""

    note: str
    lines: tuple[str, ...]
    heard: tuple[Heard, ...] = ()


class CosignedKept(msgspec.Struct, frozen=True):
    """`enough`: the checkpoint now satisfies the policy. `entry`: that says so, "" when none was called for."""

    size: int
    enough: bool
    entry: str = ""


class Stamped(msgspec.Struct, frozen=True):
    """A checkpoint's note and the authority's response (RFC 3161, DER). `nonce`: that it must repeat."""

    note: str
    stamp: bytes
    nonce: int


class StampKept(msgspec.Struct, frozen=True):
    """The stamp holds and is kept. `time_us`: the authority's."""

    size: int
    time_us: int
    entry: str


class OutsideState(msgspec.Struct, frozen=True):
    """Sizes and times (microseconds; 0: never) of the newest witnessed and stamped heads.

    last: each witness's key (name+hash) → the size that it cosigned at last, and when. waiting_us: the time of the
    oldest entry that calls for a signature and has none; 0 for none; unstamped_us: that has no stamp. trouble: what
    witnesses said, as long as they said nothing better.
    """

    published: int
    witnessed: int
    witnessed_us: int
    stamped: int
    stamped_us: int
    waiting_us: int
    unstamped_us: int
    last: dict[str, tuple[int, int]]
    trouble: list[Heard]


WITNESS_VERBS: dict[str, tuple[type, type]] = {
    "ledger.outside": (AskOutside, OutsideState),
    "ledger.cosigned": (Cosigned, CosignedKept),
    "ledger.stamped": (Stamped, StampKept),
}
