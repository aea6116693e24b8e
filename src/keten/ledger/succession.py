"""Logs that continue one another: what a restored instance publishes of the logs that its own goes on from.

A restored instance opens a log of its own name and key whose first entries are those of the log before it. That its
key may go on there is signed by the key before it: a note whose first line is no log's name, so that it can never be
taken for a checkpoint. The file `predecessors` holds, oldest first, a line of JSON for each log before this one:

    {"key": its verifier key, "note": its last known signed head, "link": the signed note that names the next key}

Byte by byte: docs/formats/backup.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from keten.core.errors import Corrupt, KetenError
from keten.core.ids import new_id
from keten.ledger.notes import Checkpoint, Signer, Verifier, open_note, parse_checkpoint, to_base64
from keten.ledger.tiles import read_file

PREDECESSORS = "predecessors"
LINK_LINE = "keten.successor/v1"
CONTINUED = "ledger.log.continued"
"""The kind of a log's first own entry after those of its predecessor."""
MAX_BYTES = 1 << 20
_PREFIX = "keten/"
_decode = msgspec.json.Decoder


class SuccessionWrong(Corrupt):
    """A log does not go on from the one that it names: code "succession-wrong"."""


class Predecessor(msgspec.Struct, frozen=True):
    """A log that the next one goes on from: verifier key, last known signed head, and the note that names the next."""

    key: str
    note: str
    link: str

    @property
    def checkpoint(self) -> Checkpoint:
        """The head at which the next log goes on. Raises `Corrupt` when its key did not sign it."""
        return parse_checkpoint(self.note, Verifier.parse(self.key))


def generation(origin: str) -> int:
    """How many logs there are up to this one: 1 for an instance that was never restored."""
    number, _, rest = origin.removeprefix(_PREFIX).partition("/")[2].partition(".")
    return int(number) if rest and number.isascii() and number.isdigit() and len(number) < 10 else 1


def next_origin(origin: str) -> str:
    """The name of a log that goes on from `origin`: keten/<id>/<generation>.<eight random characters>.

    Random, so that two restores of one backup are two logs: one name and key never sign two histories.
    """
    first = origin.removeprefix(_PREFIX).partition("/")[0]
    return f"{_PREFIX}{first}/{generation(origin) + 1}.{new_id()[:8]}"


def rivals(one: str, other: str) -> bool:
    """Whether two origins are of one institution's logs that were both restored, equally often: at most one is its log.

    That some backup was restored twice then follows from the names: each name goes on from one of the number before it.
    """
    same = one != other and one.startswith(_PREFIX) and one.split("/")[:2] == other.split("/")[:2]
    return same and generation(one) == generation(other) > 1


def link(signer: Signer, size: int, root: bytes, successor_key: str) -> str:
    """The note by which a log's key says which key goes on from its head of `size` entries and this root."""
    return signer.sign(f"{LINK_LINE}\n{signer.name}\n{size}\n{to_base64(root)}\n{successor_key}\n")


def linked_key(one: Predecessor) -> str:
    """The verifier key that a predecessor's key names as its successor's.

    1. Its head is signed by its key.
    2. The link is signed by the same key, and is about this log and that very head.

    Raises `SuccessionWrong`.
    """
    try:
        verifier = Verifier.parse(one.key)
        head = parse_checkpoint(one.note, verifier)  # 1
        lines = open_note(one.link, (verifier,)).text.split("\n")  # 2
    except KetenError as error:
        raise SuccessionWrong("succession-wrong", "A predecessor's notes do not hold.", str(error)) from error
    if len(lines) != 6 or lines[:4] != [LINK_LINE, head.origin, str(head.size), to_base64(head.root)]:
        raise SuccessionWrong("succession-wrong", "A predecessor's link is about another head.", head.origin)
    return lines[4]


def check_chain(chain: Sequence[Predecessor], key: str) -> tuple[Checkpoint, ...]:
    """The heads at which each log was continued, oldest first, after checking that each names the next key.

    `key`: the verifier key of the log itself, which the last one must name. Raises `SuccessionWrong`.
    """
    heads: list[Checkpoint] = []
    names = [*(each.key for each in chain), key][1:]
    for one, following in zip(chain, names, strict=True):
        if linked_key(one) != following.strip():
            raise SuccessionWrong("succession-wrong", "A predecessor names another successor.", one.key[:80])
        heads.append(one.checkpoint)
    sizes = [head.size for head in heads]
    if sizes != sorted(sizes):
        raise SuccessionWrong("succession-wrong", "A later log goes on from an earlier place.", f"{sizes}")
    return tuple(heads)


def check_roots(heads: Sequence[Checkpoint], root_at: Callable[[int], bytes | None]) -> None:
    """That the log begins with what each head signed; `root_at(size)`: its root at a size, None when not known.

    Raises `SuccessionWrong`.
    """
    for head in heads:
        root = root_at(head.size)
        if root is not None and root != head.root:
            what = f"the first {head.size} entries are not those of {head.origin}"
            raise SuccessionWrong("succession-wrong", "The log does not begin with its predecessor.", what)


def encode(chain: Sequence[Predecessor]) -> bytes:
    """The content of the file `predecessors`."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in chain)


def decode(data: bytes) -> tuple[Predecessor, ...]:
    """What the file says, nothing of it believed yet. Raises `SuccessionWrong`."""
    try:
        lines = data.split(b"\n")
        return tuple(_decode(Predecessor).decode(line) for line in lines if line)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise SuccessionWrong("succession-wrong", "The list of predecessors is malformed.", str(error)) from error


def is_chain(data: bytes) -> bool:
    """Whether this looks like the content of a file `predecessors` that names a log."""
    return data.lstrip()[:1] == b"{" and b'"link"' in data.partition(b"\n")[0]


def read(folder: Path) -> tuple[Predecessor, ...]:
    """The predecessors that a published ledger names; none where there is no such file.

    Raises `SuccessionWrong`, `Unavailable`.
    """
    if not os.path.lexists(folder / PREDECESSORS):
        return ()
    return decode(read_file(folder, PREDECESSORS, MAX_BYTES))
