#!/usr/bin/env python3
"""Check an exported Keten ledger. One file, Python 3.8 or newer, nothing else; it reads and never writes.

    python3 keten-verify.py EXPORT_DIR [--key KEY] [--checkpoint FILE]... [--proof FILE]... [--json]
    python3 keten-verify.py EXPORT_DIR --against FILE...     as --checkpoint; also a file of evidence
    python3 keten-verify.py evidence FILE [--key KEY] [--json]

EXPORT_DIR is what `keten ledger export` made: a tiled transparency log (c2sp.org/tlog-tiles), its key `key.pub`,
and `entries.jsonl` with the payloads. The formats: docs/formats/ledger.md. What is checked:

1. The checkpoint's signature (Ed25519), by the key given with --key, else by the one in the export.
2. Every entry's hash, and so the tree: its root must be the one that was signed, its size too.
3. Every file of hashes, also those of older checkpoints that lie in the export.
4. Every payload against the commitment in its entry; ids never twice, times never falling, order and number. A
   payload that was erased is named by a later entry that says so; one that is gone without that is a fault.
5. Checkpoints that you kept from earlier (--checkpoint): the log must begin with exactly what they signed.
6. Proofs of single entries (--proof, c2sp.org/tlog-proof).
7. The witnessed checkpoint in the export: it is of this log, and has as many cosignatures as the policy beside it asks
   for (c2sp.org/tlog-cosignature, c2sp.org/tlog-policy). Time stamps are not checked here: openssl ts -verify does.
8. Where an instance was restored, the logs before this one: each signed which key goes on from which head, and this
   log begins with what that head signed. --key may be the key of any of them; so may checkpoints and proofs be.

With `evidence FILE` it says whether a file that a supplier, a witness or an auditor kept proves that a log showed two
histories: exit code 0 when it does, 1 when it does not.

Exit code: 0 all of it holds; 1 something does not, and it is named; 2 wrong use; 4 something cannot be read.
What it cannot see: a log that was rewritten whole and signed anew. Only a key and a checkpoint that you kept
yourself show that, so use --key and --checkpoint.
"""
# ruff: noqa: T201  # printing is what this program does

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import re
import stat
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

HASH = 32
WIDTH = 256
MAX_SIZE = 2**63 - 1
MAX_NOTE = 1 << 20
MAX_SIGNATURES = 100
MAX_LINE = 1 << 24
MAX_BUNDLE = WIDTH * (2 + 65_535)
MAX_FAULTS = 1000
BUNDLES_AT_ONCE = 16
FEW_ENTRIES = 20_000  # not worth more processes
ID_LENGTH = 26
EXPORT_FILES = {"checkpoint", "key.pub", "entries.jsonl", "predecessors", "tile"}
EXPORT_FILES |= {"witnessed", "witnesses.policy", "stamps"}  # where outsiders sign
EMPTY_ROOT = hashlib.sha256(b"").digest()
LEAF = re.compile(rb'\{"id":"([a-z2-7]{26})","v":1,"commitment":"([0-9a-f]{64})"\}')
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
LINE_INDEX = re.compile(rb'\s*\{\s*"index"\s*:\s*(0|[1-9][0-9]{0,18})\s*[,}]')
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
TILE = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")
ENTRY_KEYS = {"index", "id", "payload", "salt", "state"}
ERASURE = "ledger.payloads.erased"


class Fault(Exception):
    """Something does not hold: what (a stable word), where, and how it shows."""

    def __init__(self, what: str, where: str, detail: str) -> None:
        super().__init__(what, where, detail)
        self.what, self.where, self.detail = what, where, detail


class Unreadable(Exception):
    """The system did not give us a file's bytes."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(where, detail)
        self.where, self.detail = where, detail


class TooMany(Exception):
    """So much is wrong that going on tells nothing more."""


# --- Ed25519 (RFC 8032 §5.1), verification only: nothing here is secret, so nothing here is constant-time ---------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """A point of the curve in extended coordinates: x = X/Z, y = Y/Z, T = XY/Z (RFC 8032 §5.1.4)."""

    x: int
    y: int
    z: int
    t: int


NEUTRAL = Point(0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    e = (a.y - a.x) * (b.y - b.x) % P
    f = (a.y + a.x) * (b.y + b.x) % P
    g = 2 * a.t * b.t * D % P
    h = 2 * a.z * b.z % P
    p, q, r, s = f - e, h - g, h + g, f + e
    return Point(p * q % P, r * s % P, q * r % P, p * s % P)


def multiply(point: Point, times: int) -> Point:
    """`times` times a point."""
    total = NEUTRAL
    while times:
        if times & 1:
            total = add(total, point)
        point = add(point, point)
        times >>= 1
    return total


def is_neutral(point: Point) -> bool:
    """Whether this is the neutral point."""
    return point.x % P == 0 and (point.y - point.z) % P == 0


def decode_point(data: bytes) -> Point | None:
    """A point from its 32 bytes; None for what is not on the curve or not the one canonical spelling."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return Point(x, y, 1, x * y % P)


def encode_point(point: Point) -> bytes:
    """The 32 bytes of a point."""
    inverse = pow(point.z, P - 2, P)
    x, y = point.x * inverse % P, point.y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or NEUTRAL


def good_key(public: bytes) -> bool:
    """Whether a public key is a canonical point of the large prime order (for small ones anyone could sign)."""
    point = decode_point(public)
    return point is not None and not is_neutral(point) and is_neutral(multiply(point, ORDER))


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds (RFC 8032 §5.1.7).

    1. The key is good; S is below the group's order.
    2. R is [S]B - [k]A, compared as bytes, so that only R's canonical spelling will do.
    """
    scalar = int.from_bytes(signature[32:], "little")
    key = decode_point(public)
    if len(signature) != 64 or scalar >= ORDER or key is None or not good_key(public):  # 1
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    minus = Point(P - key.x, key.y, key.z, P - key.t)
    return encode_point(add(multiply(BASE, scalar), multiply(minus, k))) == signature[:32]  # 2


# --- signed notes, checkpoints, proof files ---------------------------------------------------------------------


class Key(NamedTuple):
    """A verifier key."""

    name: str
    id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    """A signed head of a log. `strangers`: names of others that signed; `text`: what is signed; `lines`: by others."""

    size: int
    root: bytes
    strangers: list[str]
    text: bytes
    lines: list[tuple[str, bytes]]


class Note(NamedTuple):
    """A signed note: the lines of its text, the text, and who else signed it, by name and with each signature."""

    lines: list[str]
    text: bytes
    strangers: list[str]
    signatures: list[tuple[str, bytes]]


class Before(NamedTuple):
    """A log that the next one goes on from: its key, the head at which it does, and the key that it names for that."""

    key: Key
    size: int
    root: bytes
    following: str


class Proof(NamedTuple):
    """A proof file's content."""

    place: int
    path: list[bytes]
    extra: bytes | None
    note: bytes


def unbase64(text: str) -> bytes | None:
    """Canonical base64, or None."""
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:
        return None
    return raw if binascii.b2a_base64(raw, newline=False).decode("ascii") == text else None


def unhash(text: str) -> bytes | None:
    """A hash in base64, or None."""
    raw = unbase64(text)
    return raw if raw is not None and len(raw) == HASH else None


def number(text: str) -> int | None:
    """A decimal number without sign or leading zeros, or None."""
    value = int(text) if NUMBER.fullmatch(text) else -1
    return value if 0 <= value <= MAX_SIZE else None


def is_name(name: str) -> bool:
    """Whether a key may have this name."""
    return bool(name) and not re.search("[\\s\x00-\x1f+\ud800-\udfff]", name)


def read_key(text: str, kind: int = 1) -> Key | None:
    """A verifier key (name+hash+base64) of type Ed25519 (`kind` 4: a witness's, for cosignatures), or None."""
    parts = text.strip("\n").split("+", 2)
    raw = unbase64(parts[2]) if len(parts) == 3 else None
    if raw is None or len(raw) != 33 or raw[0] != kind or not is_name(parts[0]) or not good_key(raw[1:]):
        return None
    key_id = hashlib.sha256(parts[0].encode("utf-8") + b"\n" + raw).digest()[:4]
    return Key(parts[0], key_id, raw[1:]) if parts[1].lower() == key_id.hex() else None


def open_checkpoint(note: bytes, key: Key, where: str) -> Checkpoint:
    """Open a signed checkpoint (c2sp.org/signed-note, c2sp.org/tlog-checkpoint); raises `Fault`.

    Its text is origin, size and root, a line each; the origin is the key's name.
    """
    lines, text, strangers, signatures = open_note(note, key, where)
    size = number(lines[1]) if len(lines) > 2 else None
    root = unhash(lines[2]) if len(lines) > 2 else None
    if size is None or root is None or not all(lines) or (size == 0 and root != EMPTY_ROOT):
        raise Fault("checkpoint-malformed", where, "this is not a checkpoint")
    if lines[0] != key.name:
        raise Fault("other-log", where, f"it is of {lines[0][:80]!r}, the key is of {key.name!r}")
    return Checkpoint(size, root, strangers, text, signatures)


def open_note(note: bytes, key: Key, where: str) -> Note:
    """A note that the key signed; raises `Fault`.

    1. It is UTF-8 of a sensible size without control characters; the last empty line divides text and signatures.
    2. Every signature by the key holds, and there is one. Those by others are named, not checked.
    """
    try:
        text, divider, block = note.decode("utf-8").rpartition("\n\n")  # 1
    except UnicodeDecodeError:
        text, divider, block = "", "", ""
    text += "\n"
    whole = text + block
    if (
        block.count("\n") > MAX_SIGNATURES
        or not divider
        or len(note) > MAX_NOTE
        or block[-1:] != "\n"
        or re.search("[\x00-\x09\x0b-\x1f]", whole)
    ):
        raise Fault("note-malformed", where, "this is not a signed note")
    strangers, ours = [], 0
    signatures: list[tuple[str, bytes]] = []
    for line in block[:-1].split("\n"):  # 2
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = unbase64(encoded)
        if dash != "\u2014" or not is_name(name) or raw is None or len(raw) < 5:
            raise Fault("note-malformed", where, "a signature line is malformed")
        if (name, raw[:4]) != (key.name, key.id):
            strangers.append(name)
            signatures.append((name, raw))
        elif signed(key.public, text.encode("utf-8"), raw[4:]):
            ours += 1
        else:
            raise Fault("signature-wrong", where, f"the signature by {name} does not hold")
    if not ours:
        raise Fault("not-signed", where, f"no signature by {key.name}+{key.id.hex()}")
    return Note(text[:-1].split("\n"), text.encode("utf-8"), strangers, signatures)


def read_before(data: bytes, where: str) -> list[Before]:
    """The logs before this one, oldest first; raises `Fault`.

    1. A line of JSON for each: "key", "note" (its last head), "link" (a note that names the next key).
    2. The head is signed by the key. So is the link, which is about that very head.
    """
    found = []
    for line in data.splitlines():
        try:
            said = decode_json(line.decode("utf-8"))  # 1
            key = read_key(said["key"])
            note, link = said["note"].encode("utf-8"), said["link"].encode("utf-8")
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise Fault("succession-wrong", where, f"a line is malformed: {error}"[:200]) from error
        if key is None:
            raise Fault("succession-wrong", where, "a key is not an Ed25519 verifier key")
        found.append(continued(note, link, key, where))  # 2
    return found


def continued(note: bytes, link: bytes, key: Key, where: str) -> Before:
    """Where the key's log is continued: its head, and a link about that very head; raises `Fault`."""
    head = open_checkpoint(note, key, where)
    lines = open_note(link, key, where).lines
    root = base64.b64encode(head.root).decode("ascii")
    if len(lines) != 5 or lines[:4] != ["keten.successor/v1", key.name, str(head.size), root]:
        raise Fault("succession-wrong", where, f"the link of {key.name} is about another head")
    return Before(key, head.size, head.root, lines[4])


def chained(before: Sequence[Before], own: Key, where: str) -> None:
    """Raise `Fault` unless each of these logs names the key of the next, and the last one names `own`."""
    sizes = [each.size for each in before]
    for each, following in zip(before, [*(other.key for other in before[1:]), own]):  # noqa: B905  # Python 3.8
        if read_key(each.following) != following or sizes != sorted(sizes):
            raise Fault("succession-wrong", where, f"{each.key.name} does not name {following.name} as its successor")


def read_proof(data: bytes, where: str) -> Proof:
    """Read a proof file (c2sp.org/tlog-proof); raises `Fault`."""
    head, divider, note = data.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    extra = None
    good = bool(divider) and lines.pop(0) == "c2sp.org/tlog-proof@v1"
    if good and lines and lines[0].startswith("extra "):
        extra = unbase64(lines.pop(0)[6:])
        good = bool(extra)
    index = number(lines[0][6:]) if good and lines and lines[0].startswith("index ") else None
    path = [unhash(line) for line in lines[1:65]]
    if index is None or None in path or len(path) > 63:
        raise Fault("proof-malformed", where, "this is not a proof file")
    return Proof(index, [each for each in path if each is not None], extra, note)


# --- outsiders: cosignatures and the policy that says how many are enough ------------------------------------------


class Policy(NamedTuple):
    """Who must cosign: witnesses by name, groups as (so many, of these), and the name of what must be satisfied."""

    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str


def read_policy(data: bytes, where: str) -> Policy:
    """A policy file (c2sp.org/tlog-policy); raises `Fault` naming the line. `log` lines are passed over."""
    policy = Policy({}, {}, "")
    for at, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = re.split("[ \t]+", line.strip(" \t"))
        if words == [""] or words[0].startswith("#") or words[0] == "log":
            continue
        known = {*policy.witnesses, *policy.groups}
        good = False
        if words[0] == "witness" and len(words) in (3, 4):
            key = read_key(words[2], 4)
            keys = {each.public for each in policy.witnesses.values()}
            good = key is not None and words[1] not in known | {"none"} and key.public not in keys
            if key is not None:
                policy.witnesses[words[1]] = key
        elif words[0] == "group" and len(words) > 3:
            members = words[3:]
            used = {each for _, some in policy.groups.values() for each in some}
            count = {"any": 1, "all": len(members)}.get(words[2], number(words[2]) or 0)
            good = 1 <= count <= len(members) == len(set(members)) and words[1] not in known | {"none"}
            good = good and set(members) <= known and not used & set(members)
            policy.groups[words[1]] = (count, members)
        elif words[0] == "quorum" and len(words) == 2:
            good = not policy.quorum and words[1] in known | {"none"}
            policy = policy._replace(quorum=words[1])
        if not good:
            raise Fault("policy-malformed", f"{where}, line {at}", "this is not a line of a policy")
    if not policy.quorum:
        raise Fault("policy-malformed", where, "it has no quorum")
    return policy


def cosigners(head: Checkpoint, policy: Policy, where: str) -> set[str]:
    """The policy's witnesses that cosigned a head (c2sp.org/tlog-cosignature v1); raises `Fault` for a wrong one."""
    found = set()
    for name, key in policy.witnesses.items():
        for signer, raw in head.lines:
            if (signer, raw[:4]) != (key.name, key.id):
                continue
            seconds = int.from_bytes(raw[4:12], "big")
            message = b"cosignature/v1\ntime %d\n%b" % (seconds, head.text)
            if len(raw) != 76 or not signed(key.public, message, raw[12:]):
                raise Fault("signature-wrong", where, f"the cosignature by {signer} does not hold")
            found.add(name)
    return found


def satisfied(policy: Policy, names: set[str]) -> bool:
    """Whether these witnesses are enough."""
    held = {"none": True, **{name: name in names for name in policy.witnesses}}
    for name, (count, members) in policy.groups.items():
        held[name] = sum(held[member] for member in members) >= count
    return held[policy.quorum]


# --- the Merkle tree of RFC 6962 --------------------------------------------------------------------------------


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """The roots of the largest complete subtrees over these hashes, left to right."""
    found: list[bytes] = []
    nodes = list(hashes)
    sha256 = hashlib.sha256
    while nodes:
        if len(nodes) & 1:
            found.append(nodes.pop())
        each = iter(nodes)
        nodes = [sha256(b"\x01" + left + right).digest() for left, right in zip(each, each)]  # noqa: B905  # 3.8
    return found[::-1]


def fold(tops: Sequence[bytes]) -> bytes:
    """The root over subtrees of falling size."""
    if not tops:
        return EMPTY_ROOT
    root = tops[-1]
    for left in tops[-2::-1]:
        root = node_hash(left, root)
    return root


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves the leaf with this hash at this place (RFC 9162 §2.1.3.2)."""
    if index >= size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def consistent_roots(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots at two sizes that these hashes give, the first being a node of both trees (RFC 9162 §2.1.4.2)."""
    if not hashes:
        return None
    last, end = old - 1, new - 1
    while last & 1:
        last, end = last >> 1, end >> 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if end == 0:
            return None
        if last & 1 or last == end:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while last and not last & 1:
                last, end = last >> 1, end >> 1
        else:
            newer = node_hash(newer, sibling)
        last, end = last >> 1, end >> 1
    return (older, newer) if end == 0 else None


def split_hashes(data: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [data[at : at + HASH] for at in range(0, len(data), HASH)]


def root_of(tile: bytes) -> bytes:
    """The root of a full tile; empty for none."""
    return fold(peaks(split_hashes(tile))) if tile else b""


def tile_name(level: str, index: int, width: int = WIDTH) -> str:
    """A tile's path: tile/<level>/<index in groups of three digits>[.p/<width>]."""
    text = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03}/{text}"
    part = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{text}{part}"


def split_bundle(data: bytes) -> list[bytes] | None:
    """The entries of a bundle (each after its length as a big-endian uint16), or None."""
    leaves, at = [], 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        leaves.append(data[start:at])
    return leaves if at == len(data) else None


# --- one bundle at a time, in any process -----------------------------------------------------------------------


class Job(NamedTuple):
    """A bundle to check, with the lines of its entries, if there are. `keep`: its hashes are wanted."""

    folder: str
    number: int
    width: int
    lines: list[bytes | None]
    keep: bool


class Found(NamedTuple):
    """What a bundle gave. `hashes` are its leaves' (none if it could not be read), `tile` the hash file's.

    erased: entries without payload. said: which entry says so of which one.
    """

    number: int
    root: bytes
    hashes: bytes
    tile: bytes
    ids: bytes
    first_time: str
    last_time: str
    present: int
    erased: list[int]
    said: list[tuple[int, int]]
    unproven: list[str]
    faults: list[tuple[str, str, str]]
    unreadable: list[tuple[str, str]]


class Seen:
    """What is gathered while a bundle's entries are checked."""

    def __init__(self) -> None:
        self.first_time = self.last_time = ""
        self.present = 0
        self.erased: list[int] = []
        self.said: list[tuple[int, int]] = []
        self.unproven: set[str] = set()
        self.faults: list[tuple[str, str, str]] = []
        self.unreadable: list[tuple[str, str]] = []


def read_file(folder: str, name: str, limit: int) -> bytes:
    """A regular file's bytes; raises `Unreadable`, or `Fault` when it is larger than it can be."""
    path = Path(folder, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(name, "it is not a file")
            if status.st_size > limit:
                raise Fault("file-too-large", name, f"{status.st_size} bytes, {limit} would be many")
            return stream.read(limit + 1)
    except OSError as error:
        raise Unreadable(name, error.strerror or str(error)) from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name comes twice: readers would disagree about what it says."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name comes twice")
    return result


def short_integer(text: str) -> int:
    """An integer of a sensible length: some Pythons take very long for very long ones."""
    if len(text) > 400:
        raise ValueError("a number is too long")
    return int(text)


def no_constant(text: str) -> None:
    """Refuse what is not JSON."""
    raise ValueError(f"{text} is not JSON")


careful = json.JSONDecoder(object_pairs_hook=unique, parse_int=short_integer, parse_constant=no_constant)
quick = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)


def decode_json(text: str) -> Any:
    """JSON in which no object has a name twice; raises `ValueError` or `RecursionError`."""
    result, end = (quick if len(text) < 65_536 else careful).raw_decode(text)
    if text[end:].strip(" \t\r\n"):
        raise ValueError("something follows it")
    return result


def read_part(job: Job, level: str, limit: int, seen: Seen) -> bytes | None:
    """The bundle (level "entries") or the tile (level "0") of a job; None, and noted, if it cannot be had."""
    try:
        return read_file(job.folder, tile_name(level, job.number, job.width), limit)
    except Unreadable as error:
        seen.unreadable.append((error.where, error.detail))
    except Fault as fault:
        seen.faults.append((fault.what, fault.where, fault.detail))
    return None


def check_bundle(job: Job) -> Found:
    """Check one bundle.

    1. It can be taken apart and holds the number of entries that the size demands; the tile has its length.
    2. The hashes of its entries are those in the tile beside it; which of the two is wrong is decided later.
    3. Each entry is what a leaf must be, and its line in entries.jsonl is what it commits to.
    """
    seen = Seen()
    bundle_name, tile_path = (tile_name(level, job.number, job.width) for level in ("entries", "0"))
    bundle = read_part(job, "entries", MAX_BUNDLE, seen)  # 1
    leaves = (split_bundle(bundle) if bundle is not None else None) or []
    if bundle is not None and len(leaves) != job.width:
        seen.faults.append(("bundle-damaged", bundle_name, f"it does not hold just {job.width} entries"))
        leaves = []
    tile = read_part(job, "0", job.width * HASH, seen)
    if tile is not None and len(tile) != job.width * HASH:
        seen.faults.append(("tile-damaged", tile_path, f"{len(tile)} bytes instead of {job.width * HASH}"))
        tile = None
    hashes = [leaf_hash(leaf) for leaf in leaves]
    joined = b"".join(hashes)  # 2
    ids = []
    for place, leaf in enumerate(leaves):  # 3
        index = job.number * WIDTH + place
        match = LEAF.fullmatch(leaf)
        if match is None:
            seen.faults.append(("leaf-malformed", f"entry {index}", f"in {bundle_name}"))
            continue
        ids.append(match[1])
        line = job.lines[place] if job.lines else None
        if line is not None:
            problem = check_line(line, index, match[1], match[2], seen)
            if problem:
                seen.faults.append((problem[0], f"entry {index}", problem[1]))
    whole = hashes if job.width == WIDTH else []
    return Found(
        job.number,
        fold(peaks(whole)) if whole else b"",
        joined if job.keep or job.width < WIDTH or joined != tile else b"",
        b"" if tile is None or joined == tile else tile,
        b"".join(ids),
        seen.first_time,
        seen.last_time,
        seen.present,
        seen.erased,
        seen.said,
        sorted(seen.unproven),
        seen.faults,
        seen.unreadable,
    )


def check_line(line: bytes, index: int, entry_id: bytes, commitment: bytes, seen: Seen) -> tuple[str, str] | None:
    """Check the line of one entry against its leaf; what is wrong, if anything.

    1. It is a JSON object with this entry's index and id; what else it says is not proven by anything.
    2. An erased entry has neither payload nor salt. A present one has both.
    """
    try:
        entry = decode_json(line.decode("utf-8"))  # 1
    except (ValueError, RecursionError) as error:
        return "entry-malformed", f"its line is not JSON: {error}"[:200]
    if not isinstance(entry, dict) or not entry.keys() >= ENTRY_KEYS or isinstance(entry["index"], bool):
        return "entry-malformed", "its line is not that of an entry"
    if len(entry) > len(ENTRY_KEYS):
        seen.unproven.update(entry.keys() - ENTRY_KEYS)
    if entry["index"] != index or entry["id"] != entry_id.decode("ascii"):
        return "entry-other", f"its line is of entry {entry['index']!r:.30} with id {entry['id']!r:.40}"
    payload, salt = entry["payload"], entry["salt"]
    if entry["state"] == "erased" and payload is None and salt is None:  # 2
        seen.erased.append(index)
        return None
    key = unhash(salt) if isinstance(salt, str) else None
    if entry["state"] != "present" or not isinstance(payload, str) or key is None:
        return "entry-malformed", "it is neither present with payload and salt, nor erased without both"
    problem = check_payload(payload, key, entry_id, commitment, seen)
    return note_erasure(payload, index, seen) if problem is None and ERASURE in payload else problem


def note_erasure(payload: str, index: int, seen: Seen) -> tuple[str, str] | None:
    """Note which earlier entries a payload says were erased, if it is of the kind that says so."""
    content = decode_json(payload)
    if content.get("kind") != ERASURE:
        return None
    try:
        named = [gone[0] for gone in content["details"]["erased"]]
    except (KeyError, TypeError, IndexError):
        return "payload-malformed", "it does not say which entries were erased"
    seen.said += [(index, each) for each in named if type(each) is int and each < index]
    return None


def check_payload(payload: str, salt: bytes, entry_id: bytes, commitment: bytes, seen: Seen) -> tuple[str, str] | None:
    """Check a payload; what is wrong, if anything.

    1. HMAC-SHA256 under the salt, over id, a zero byte and the payload as it stands, is the commitment.
    2. It is a JSON object with a time, which is not before that of the entry before it.
    """
    try:
        message = entry_id + b"\0" + payload.encode("utf-8")  # 1
        if hmac.digest(salt, message, "sha256").hex().encode("ascii") != commitment:
            return "commitment-wrong", "its payload is not the one that was recorded"
        content = decode_json(payload)  # 2
    except (ValueError, RecursionError) as error:
        return "payload-malformed", f"its payload is not JSON: {error}"[:200]
    at = content.get("time") if isinstance(content, dict) else None
    if not isinstance(at, str) or not TIME.fullmatch(at):
        return "payload-malformed", "its payload has no time"
    seen.present += 1
    before, seen.last_time = seen.last_time, at
    if not before:
        seen.first_time = at
    return ("time-falls", f"{at} after {before}") if at < before else None


# --- the whole export -------------------------------------------------------------------------------------------


class Progress:
    """How far it is, on stderr, if that is a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def show(self, done: int, total: int) -> None:
        """Show it, a few times a second."""
        if self._terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            sys.stderr.write(f"\r{done:,} of {total:,} entries")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")


class Report:
    """What was found. `fault`s mean that something does not hold; `remark`s only say what was not checked."""

    def __init__(self) -> None:
        self.faults: list[dict[str, str]] = []
        self.unreadable: list[dict[str, str]] = []
        self.remarks: list[str] = []
        self.facts: dict[str, Any] = {"origin": None, "size": None, "root": None, "entries": None}
        self.checkpoints: list[dict[str, Any]] = []
        self.proofs: list[dict[str, Any]] = []

    def fault(self, what: str, where: str, detail: str) -> None:
        """Note what does not hold."""
        self.faults.append({"what": what, "where": where, "detail": detail})
        self._enough()

    def cannot_read(self, where: str, detail: str) -> None:
        """Note what cannot be read."""
        self.unreadable.append({"where": where, "detail": detail})
        self._enough()

    def note(self, error: Fault | Unreadable) -> None:
        """Note either."""
        if isinstance(error, Fault):
            self.fault(error.what, error.where, error.detail)
        else:
            self.cannot_read(error.where, error.detail)

    def _enough(self) -> None:
        if len(self.faults) + len(self.unreadable) >= MAX_FAULTS:
            self.remarks.append(f"stopped after {MAX_FAULTS} faults; there may be more")
            raise TooMany

    def exit_code(self) -> int:
        """0 holds, 1 does not hold, 4 cannot be read."""
        return 1 if self.faults else 4 if self.unreadable else 0


class Lines:
    """The lines of entries.jsonl, each given to the entry that it says it is about."""

    def __init__(self, stream: Any, report: Report) -> None:
        self._stream = stream
        self._report = report
        self._number = 0
        self._last = -1
        self._ahead: tuple[int, bytes] | None = None
        self._missing: tuple[int, int] | None = None

    def take(self, first: int, end: int) -> list[bytes | None]:
        """The lines of the entries from `first` up to, not including, `end`."""
        taken: list[bytes | None] = [None for _ in range(first, end)]
        while True:
            self._ahead = self._ahead or self._next()
            if self._ahead is None or self._ahead[0] >= end:
                break
            index, found = self._ahead
            self._ahead = None
            taken[index - first] = found
        for place, line in enumerate(taken):
            self._note_missing(first + place, missing=line is None)
        return taken

    def finish(self, size: int) -> None:
        """Say which entries have no line, and whether there are lines without an entry."""
        self._note_missing(size, missing=False)
        extra = 0
        while self._ahead or self._next():
            self._ahead = None
            extra += 1
        if extra:
            self._report.fault("entry-surplus", "entries.jsonl", f"{extra} lines of entries beyond the size {size}")

    def _note_missing(self, index: int, *, missing: bool) -> None:
        if missing and self._missing:
            self._missing = (self._missing[0], index)
        elif missing:
            self._missing = (index, index)
        elif self._missing:
            first, last = self._missing
            self._missing = None
            self._report.fault("entry-missing", "entries.jsonl", f"no line for the entries {first} to {last}")

    def _next(self) -> tuple[int, bytes] | None:
        while True:
            line = self._stream.readline(MAX_LINE)
            if not line:
                return None
            self._number += 1
            if len(line) == MAX_LINE and line[-1:] != b"\n":
                self._report.fault("line-too-long", "entries.jsonl", f"line {self._number}; the rest was not read")
                self._stream.seek(0, os.SEEK_END)
                return None
            index = self._last + 1  # also if it cannot be told: whoever checks the line says what is wrong
            if not line.startswith(b'{"index":%d,' % index):
                match = LINE_INDEX.match(line)
                index = int(match[1]) if match else index
            if index > self._last:
                self._last = index
                return index, line
            self._report.fault("entry-order", f"entry {index}", f"line {self._number} comes late, or again")


class Audit:
    """Checks one export and fills a report."""

    def __init__(self, folder: str, key: Key, before: Sequence[Before], report: Report, progress: Progress) -> None:
        self._folder = folder
        self._key = key
        self._before = before
        self._report = report
        self._progress = progress
        self._size = 0
        self._roots: list[bytes] = []  # of each full bundle; empty where it is not known
        self._edge = b""  # the hashes of the last bundle's entries, if it is not full
        self._kept: dict[int, bytes] = {}
        self._differing: list[Found] = []
        self._ids: dict[bytes, bytearray] = {}
        self._time = ""
        self._times = ["", ""]
        self._present = 0
        self._erased: list[int] = []
        self._said: dict[int, int] = {}
        self._unproven: set[str] = set()
        self._tiles = 0

    def run(self, checkpoints: Sequence[str], proofs: Sequence[str], policy: str = "") -> None:
        """The whole check, in the order of this program's description.

        1. The export's checkpoint; it says how many entries there must be.
        2. What the given checkpoints and proofs will be compared with is noted before the entries are read.
        3. Every bundle with its tile and its lines; then every tile above, and the root.
        4. Other files: those of older checkpoints must agree, the rest is named.
        5. The given checkpoints and proofs; and the witnessed checkpoint, by the given policy or the export's own.
        """
        report = self._report
        checkpoint = open_checkpoint(read_file(self._folder, "checkpoint", MAX_NOTE), self._key, "checkpoint")  # 1
        self._size = checkpoint.size
        root = base64.b64encode(checkpoint.root).decode("ascii")
        report.facts.update(origin=self._key.name, size=checkpoint.size, root=root)
        known = self._policy(policy)
        strangers = set(checkpoint.strangers) - {each.name for each in known.witnesses.values()}
        if strangers:
            names = ", ".join(sorted(strangers))
            report.remarks.append(f"signatures by other keys were not checked: {names}"[:500])
        older = [each for each in map(self._older, checkpoints) if each]  # 2
        witnessed = self._older(str(Path(self._folder, "witnessed")), "witnessed")
        if witnessed:
            older.append(witnessed)
        proven = [each for each in map(self._proof, proofs) if each]
        wanted = {each.size // WIDTH for _, each in older} | {each.size // WIDTH for each in self._before}
        for _, proof, at in proven:
            wanted.update((proof.place // WIDTH, at.size // WIDTH))
        self._entries(wanted)  # 3
        self._settle(checkpoint.root)
        self._levels()
        self._compare_root(checkpoint.root)
        self._begins()
        self._twice()
        self._justified()
        self._others()  # 4
        for name, head in older:  # 5
            self._check_older(name, head)
        for name, proof, head in proven:
            self._check_proof(name, proof, head)
        for name, head in (("checkpoint", checkpoint), *([witnessed] if witnessed else [])):
            self._check_cosigned(name, head, known)

    def _policy(self, given: str) -> Policy:
        """The policy to count cosignatures by: the auditor's own, else the export's; one that asks for none, else."""
        own = Path(self._folder, "witnesses.policy")
        try:
            if given:
                return read_policy(read_file("", given, MAX_NOTE), given)
            if own.exists():
                self._report.remarks.append("the policy of witnesses came with the export; give your own with --policy")
                return read_policy(read_file("", str(own), MAX_NOTE), "witnesses.policy")
        except (Fault, Unreadable) as error:
            self._report.note(error)
        return Policy({}, {}, "none")

    def _check_cosigned(self, name: str, head: Checkpoint, policy: Policy) -> None:
        """Step 5 of `run`, for cosignatures: those that there are hold; the witnessed checkpoint has enough."""
        try:
            names = cosigners(head, policy, name)
        except Fault as fault:
            self._report.note(fault)
            return
        if name == "witnessed":
            self._report.facts["witnessed"] = {"size": head.size, "by": sorted(names)}
            if not satisfied(policy, names):
                self._report.fault("witnesses-few", name, "it has fewer cosignatures than the policy asks for")

    def summary(self) -> None:
        """What was read, for the report."""
        self._report.facts.update(
            entries={"present": self._present, "erased": len(self._erased)},
            first_time=self._times[0] or None,
            last_time=self._times[1] or None,
            tiles=self._tiles,
        )
        if self._erased:
            self._report.remarks.append(
                f"{len(self._erased)} entries are erased; whether that was lawful is for you to judge by the entries "
                "that say who asked for it and who approved it"
            )
        if self._unproven:
            names = ", ".join(sorted(self._unproven))
            self._report.remarks.append(f"entries.jsonl also says what nothing proves: {names}"[:500])

    def _entries(self, wanted: set[int]) -> None:
        """Step 3 of `run`: all bundles, in order, by several processes when there are many."""
        path = Path(self._folder, "entries.jsonl")
        if not path.is_file() or not os.access(path, os.R_OK):
            self._report.cannot_read("entries.jsonl", "it is missing, or may not be read")
            self._bundles(wanted, None)
            return
        with path.open("rb") as stream:
            lines = Lines(stream, self._report)
            self._bundles(wanted, lines)
            lines.finish(self._size)

    def _bundles(self, wanted: set[int], lines: Lines | None) -> None:
        jobs = self._jobs(wanted, lines)
        workers = min(os.cpu_count() or 1, 8)
        if workers == 1 or self._size < FEW_ENTRIES:
            for job in jobs:
                self._take(check_bundle(job))
            return
        with ProcessPoolExecutor(workers) as pool:
            try:
                for batch in in_order(pool, jobs, workers * 2):
                    for found in batch:
                        self._take(found)
            except BrokenProcessPool as error:
                raise Unreadable(self._folder, "a process of this program was ended from outside") from error

    def _jobs(self, wanted: set[int], lines: Lines | None) -> Iterator[Job]:
        for number in range((self._size + WIDTH - 1) // WIDTH):
            first = number * WIDTH
            width = min(WIDTH, self._size - first)
            taken = lines.take(first, first + width) if lines else []
            yield Job(self._folder, number, width, taken, number in wanted)

    def _take(self, found: Found) -> None:
        """Add what one bundle gave. Where it and its tile differ, the tree goes on with the bundle for now."""
        for where, detail in found.unreadable:
            self._report.cannot_read(where, detail)
        for what, where, detail in found.faults:
            self._report.fault(what, where, detail)
        for at in range(0, len(found.ids), ID_LENGTH):
            bucket = self._ids.setdefault(found.ids[at : at + 2], bytearray())
            bucket += found.ids[at : at + ID_LENGTH]
        if found.first_time and found.first_time < self._time:
            where = f"bundle {found.number}"
            self._report.fault("time-falls", where, f"it begins at {found.first_time}, after {self._time}")
        self._time = found.last_time or self._time
        self._times = [self._times[0] or found.first_time, self._time]
        self._present += found.present
        self._erased += found.erased
        for by, index in found.said:
            self._said.setdefault(index, by)
        self._unproven.update(found.unproven)
        self._tiles += 2
        hashes = found.hashes or found.tile
        if hashes:
            self._kept[found.number] = hashes
        if found.hashes and found.tile:
            self._differing.append(found)
        if (found.number + 1) * WIDTH <= self._size:
            self._roots.append(found.root or root_of(found.tile))
        else:
            self._edge = hashes
        self._progress.show(min((found.number + 1) * WIDTH, self._size), self._size)

    def _settle(self, signed_root: bytes) -> None:
        """Say, for each bundle that differs from its tile, which of them the rest of the tree stands by.

        For a full one that is the hash in the tile above it, for the last one the root that was signed.
        """
        for found in self._differing:
            width = min(WIDTH, self._size - found.number * WIDTH)
            tile, bundle = (tile_name(level, found.number, width) for level in ("0", "entries"))
            pairs = zip(split_hashes(found.hashes), split_hashes(found.tile))  # noqa: B905  # Python 3.8
            place = next(at for at, (left, right) in enumerate(pairs) if left != right)
            entry = found.number * WIDTH + place
            if width == WIDTH:
                expected, ours, theirs = self._parent(found.number), found.root, root_of(found.tile)
            else:
                expected, ours = signed_root, self._root_at(self._size) or b""
                self._edge = found.tile
                theirs = self._root_at(self._size) or b""
                self._edge = found.hashes
            if ours == expected:
                self._report.fault("tile-wrong", tile, f"hash {place} is not that of entry {entry}")
            elif theirs == expected:
                self._report.fault("bundle-wrong", bundle, f"entry {entry} is not the one in the tree")
                self._kept[found.number] = found.tile
                if width == WIDTH:
                    self._roots[found.number] = theirs
                else:
                    self._edge = found.tile
            else:
                self._report.fault("tile-differs", f"{tile}, {bundle}", f"they differ at entry {entry}")

    def _parent(self, number: int) -> bytes:
        """The hash of a full bundle's tile, as the tile above has it; empty if that cannot be read."""
        first = number // WIDTH * WIDTH
        name = tile_name("1", number // WIDTH, min(WIDTH, self._size // WIDTH - first))
        try:
            return read_file(self._folder, name, WIDTH * HASH)[(number - first) * HASH :][:HASH]
        except (Fault, Unreadable):
            return b""  # reported when that tile's own turn comes

    def _levels(self) -> None:
        """Compare every tile above the lowest level with the hashes that were computed."""
        level, nodes = 1, self._roots
        while nodes:
            above = []
            for number in range((len(nodes) + WIDTH - 1) // WIDTH):
                row = nodes[number * WIDTH : (number + 1) * WIDTH]
                self._compare_tile(tile_name(str(level), number, len(row)), row)
                if len(row) == WIDTH:
                    above.append(fold(peaks(row)) if all(row) else b"")
            level, nodes = level + 1, above

    def _compare_tile(self, name: str, row: Sequence[bytes]) -> None:
        self._tiles += 1
        try:
            tile = split_hashes(read_file(self._folder, name, len(row) * HASH))
        except (Fault, Unreadable) as error:
            self._report.note(error)
            return
        wrong = [at for at, expected in enumerate(row) if expected and tile[at : at + 1] != [expected]]
        if wrong:
            self._report.fault("tile-wrong", name, f"hash {wrong[0]} is not that of the tile below it")

    def _root_at(self, size: int) -> bytes | None:
        """The root that the log had at this size; None if files that are needed could not be used."""
        bundles, rest = divmod(size, WIDTH)
        known = self._edge if bundles == self._size // WIDTH else self._kept.get(bundles, b"")
        last = split_hashes(known)[:rest]
        if len(last) < rest or not all(self._roots[:bundles]):
            return None
        return fold(peaks(self._roots[:bundles]) + peaks(last))

    def _compare_root(self, expected: bytes) -> None:
        root = self._root_at(self._size)
        if root is None:
            self._report.remarks.append("the root could not be computed, for want of the files named")
        elif root != expected:
            detail = f"the entries that are here have the root {base64.b64encode(root).decode('ascii')}"
            self._report.fault("root-wrong", "checkpoint", detail)

    def _begins(self) -> None:
        """The log begins with what the last head of each log before it signed."""
        for each in self._before:
            root = self._root_at(each.size) if each.size <= self._size else b""
            if root is None:
                self._report.remarks.append(f"{each.key.name} could not be compared, for want of the files named")
            elif root != each.root:
                detail = f"the first {each.size} entries are not those of {each.key.name}"
                self._report.fault("succession-wrong", "predecessors", detail)

    def _signer(self, note: bytes) -> tuple[Key, int]:
        """Whose checkpoint this is, by its first line; and how much of that log this one has."""
        origin = note.partition(b"\n")[0]
        for each in self._before:
            if each.key.name.encode("utf-8") == origin:
                return each.key, each.size
        return self._key, MAX_SIZE

    def _lost(self, name: str, head: Checkpoint, reach: int) -> bool:
        """Whether a checkpoint of a log before this one covers entries that did not go on here; reports if so."""
        if head.size > reach:
            detail = f"it is of {head.size} entries, and this log goes on from {reach}: those between were lost"
            self._report.fault("entries-lost", name, detail)
        return head.size > reach

    def _twice(self) -> None:
        """No id belongs to two entries."""
        for bucket in self._ids.values():
            ids = sorted(bytes(bucket[at : at + ID_LENGTH]) for at in range(0, len(bucket), ID_LENGTH))
            for left, right in zip(ids, ids[1:]):  # noqa: B905, RUF007  # Python 3.8
                if left == right:
                    self._report.fault("id-twice", f"id {left.decode('ascii')}", "two entries have it")

    def _justified(self) -> None:
        """What is gone is named by a later entry, and what is so named is gone."""
        gone = set(self._erased)
        for index in self._erased:
            if index not in self._said:
                detail = "its payload is gone, and no entry says that it was erased"
                self._report.fault("erased-unjustified", f"entry {index}", detail)
        for index, by in sorted(self._said.items()):
            if index not in gone:
                detail = f"entry {by} says that it was erased, and it was not"
                self._report.fault("erased-present", f"entry {index}", detail)

    def _others(self) -> None:
        """Step 4 of `run`."""
        unknown: list[str] = []
        base = Path(self._folder)
        names = [name for name in sorted(path.name for path in base.iterdir()) if name not in EXPORT_FILES]
        unknown.extend(names)
        for folder, _, files in os.walk(base / "tile"):
            for file in files:
                name = Path(folder, file).relative_to(base).as_posix()
                try:
                    if not self._is_of_tree(name):
                        unknown.append(name)
                except (Fault, Unreadable) as error:
                    self._report.note(error)
        if unknown:
            self._report.remarks.append(
                f"{len(unknown)} files or folders are not of this checkpoint and were not checked: "
                + ", ".join(sorted(unknown)[:3])
            )

    def _is_of_tree(self, name: str) -> bool:
        """Whether a file belongs to this checkpoint or, rightly, to an older one; raises what is wrong with it."""
        match = TILE.fullmatch(name)
        if match is None:
            return False
        level = -1 if match[1] == "entries" else int(match[1])
        index, width = int(re.sub("[x/]", "", match[2])), int(match[3] or WIDTH)
        here = min((self._size >> 8 * max(level, 0)) - index * WIDTH, WIDTH)
        if not 1 <= width <= here or name != tile_name(match[1], index, width):
            return False
        if width < here:
            data = read_file(self._folder, name, MAX_BUNDLE)
            covering = read_file(self._folder, tile_name(match[1], index, here), MAX_BUNDLE)
            length = len(split_bundle(data) or []) if level < 0 else len(data) / HASH
            if length != width or not covering.startswith(data):
                raise Fault("tile-wrong", name, "an older part, but not the beginning of what is there now")
        return True

    def _older(self, path: str, name: str = "") -> tuple[str, Checkpoint] | None:
        """A checkpoint file that was given, or evidence that holds one, opened; one with a `name` need not be there."""
        if name and not Path(path).exists():
            return None
        try:
            data = read_file("", path, 4 * MAX_NOTE)
            if data.lstrip()[:1] == b"{":
                data = read_evidence(data, path)["kept_checkpoint"].encode("utf-8")
            key, reach = self._signer(data)
            head = open_checkpoint(data, key, name or path)
            if self._lost(name or path, head, reach):
                self._report.checkpoints.append({"file": name or path, "size": head.size, "holds": False})
                return None
            return name or path, head
        except (Fault, Unreadable) as error:
            self._report.checkpoints.append({"file": name or path, "holds": False})
            self._report.note(error)
            return None

    def _proof(self, path: str) -> tuple[str, Proof, Checkpoint] | None:
        """A proof file that was given, read, and its checkpoint opened."""
        try:
            proof = read_proof(read_file("", path, 2 * MAX_NOTE), path)
            key, reach = self._signer(proof.note)
            head = open_checkpoint(proof.note, key, path)
            if self._lost(path, head, reach):
                self._report.proofs.append({"file": path, "index": proof.place, "size": head.size, "holds": False})
                return None
            return path, proof, head
        except (Fault, Unreadable) as error:
            self._report.proofs.append({"file": path, "holds": False})
            self._report.note(error)
            return None

    def _extends(self, name: str, head: Checkpoint) -> bool:
        """Whether this log, cut off at the checkpoint's size, has the checkpoint's root; reports if not."""
        root = self._root_at(head.size)
        if root is None:
            self._report.remarks.append(f"{name} could not be compared, for want of the files named")
        elif root != head.root:
            detail = f"the log's first {head.size} entries are not those that were signed then"
            self._report.fault("checkpoint-split", name, detail)
        return root == head.root

    def _check_older(self, name: str, head: Checkpoint) -> None:
        """Step 5 of `run`, for a checkpoint."""
        holds = head.size <= self._size
        if holds:
            holds = self._extends(name, head)
        self._report.checkpoints.append({"file": name, "size": head.size, "holds": holds})
        if head.size > self._size:
            detail = f"it is of {head.size} entries: entries were cut off, or the export is older than it"
            self._report.fault("checkpoint-newer", name, detail)

    def _check_proof(self, name: str, proof: Proof, head: Checkpoint) -> None:
        """Step 5 of `run`, for a proof.

        1. The leaf is the one that the export has there; if it has none there, the one in the proof.
        2. The proof does not carry another leaf.
        3. Leaf and path give the root of the proof's checkpoint.
        4. That checkpoint is of this log, as far as this export reaches.
        """
        here = split_hashes(self._kept.get(proof.place // WIDTH, b""))[proof.place % WIDTH :][:1]  # 1
        carried = leaf_hash(proof.extra) if proof.extra is not None else None
        leaf = here[0] if here else carried
        holds = False
        if leaf is None:
            self._report.fault("proof-no-leaf", name, f"neither it nor the export has entry {proof.place}")
        elif carried not in (None, leaf):  # 2
            self._report.fault("proof-wrong", name, f"it carries another entry than entry {proof.place}")
        elif not included(leaf, proof.place, head.size, proof.path, head.root):  # 3
            self._report.fault("proof-wrong", name, f"it does not prove entry {proof.place}")
        elif head.size > self._size:  # 4
            self._report.remarks.append(f"{name} is newer than the export; it holds by itself")
            holds = True
        else:
            holds = self._extends(name, head)
        self._report.proofs.append({"file": name, "index": proof.place, "size": head.size, "holds": holds})


def check_bundles(jobs: list[Job]) -> list[Found]:
    """Several bundles, for one trip to another process."""
    return [check_bundle(job) for job in jobs]


def in_order(pool: Executor, jobs: Iterable[Job], most: int) -> Iterator[list[Found]]:
    """The jobs' results in their order, computed in the pool, with at most `most` batches under way."""
    waiting: deque[Future[list[Found]]] = deque()
    batch: list[Job] = []
    for job in jobs:
        batch.append(job)
        if len(batch) == BUNDLES_AT_ONCE:
            waiting.append(pool.submit(check_bundles, batch))
            batch = []
            if len(waiting) >= most:
                yield waiting.popleft().result()
    waiting.append(pool.submit(check_bundles, batch))
    while waiting:
        yield waiting.popleft().result()


# --- the command ------------------------------------------------------------------------------------------------


def earlier_logs(folder: str, own: Key, report: Report) -> list[Before]:
    """The logs before this one that the export names, each of which names the next."""
    if not Path(folder, "predecessors").exists():
        return []
    try:
        before = read_before(read_file(folder, "predecessors", MAX_NOTE), "predecessors")
        chained(before, own, "predecessors")
    except (Fault, Unreadable) as error:
        report.note(error)
        return []
    for each in before:
        report.remarks.append(f"it goes on from {each.key.name}, of which it has {each.size} entries")
    return before


def choose_key(folder: str, given: Key | None, report: Report) -> Key | None:
    """The key to check with: the given one, else the export's own, which anybody could have put there.

    Given the key of a log before it, it is the export's own: what that key signed leads there.
    """
    try:
        own = read_key(read_file(folder, "key.pub", MAX_NOTE).decode("utf-8", "replace"))
    except (Fault, Unreadable) as error:
        report.note(error)
        return given
    if own is not None and given is not None and own != given:
        try:
            before = read_before(read_file(folder, "predecessors", MAX_NOTE), "predecessors")
            chained(before, own, "predecessors")
        except (Fault, Unreadable):
            before = []
        if given in [each.key for each in before]:
            return own
    if own is None:
        report.fault("key-malformed", "key.pub", "this is not an Ed25519 verifier key")
    elif given is None:
        key_id = f"{own.name}+{own.id.hex()}"
        report.remarks.append(f"the key {key_id} came with the export; compare it with the one you were given")
    elif own != given:
        report.fault("key-other", "key.pub", f"it is {own.name}+{own.id.hex()}, not the key that was given")
    return given or own


def say(report: Report, folder: str) -> None:
    """The report, for people. What hostile files say is shown without control characters."""

    def print_line(text: str) -> None:
        print("".join(each if each.isprintable() else ascii(each)[1:-1] for each in text))

    facts = report.facts
    print_line(f"Ledger in {folder}")
    if facts["size"] is not None:
        print_line(f"  log      {facts['origin']}, {facts['size']:,} entries, root {facts['root']}")
    if facts["entries"]:
        print_line(f"  entries  {facts['entries']['present']:,} present, {facts['entries']['erased']:,} erased")
    if facts.get("first_time"):
        print_line(f"  from     {facts['first_time']} to {facts['last_time']}")
    for kind, checks in (("checkpoint", report.checkpoints), ("proof", report.proofs)):
        for check in checks:
            print_line(f"  {kind} {check['file']}: {'holds' if check['holds'] else 'does not hold'}")
    if facts.get("witnessed"):
        by = ", ".join(facts["witnessed"]["by"]) or "nobody"
        print_line(f"  witnessed by {by}, at {facts['witnessed']['size']:,} entries")
    for remark in report.remarks:
        print_line(f"REMARK      {remark}")
    for fault in report.faults:
        print_line(f"FAULT       {fault['what']}  {fault['where']}: {fault['detail']}")
    for fault in report.unreadable:
        print_line(f"UNREADABLE  {fault['where']}: {fault['detail']}")
    print_line(("It holds.", "It does NOT hold.", "", "", "It could NOT be checked whole.")[report.exit_code()])


def check(options: argparse.Namespace, given: Key | None, report: Report) -> None:
    """Check what the options ask for."""
    key = choose_key(options.folder, given, report)
    if key is None:
        return
    progress = Progress()
    audit = Audit(options.folder, key, earlier_logs(options.folder, key, report), report, progress)
    try:
        against = [*options.checkpoint, *getattr(options, "against", [])]
        audit.run(against, options.proof, getattr(options, "policy", ""))
    except (Fault, Unreadable) as error:
        report.note(error)
    finally:
        progress.end()
        audit.summary()


# --- evidence of a fork -----------------------------------------------------------------------------------------

EVIDENCE_TEXTS = ("format", "what", "time", "by", "source", "ledger_key", "kept_checkpoint", "shown_checkpoint")


def read_evidence(data: bytes, where: str) -> dict[str, Any]:
    """A file of evidence (docs/formats/witness.md); raises `Fault`."""
    try:
        found = decode_json(data.decode("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != "keten-evidence-1":
        raise Fault("evidence-malformed", where, "this is not a file of evidence")
    paths = [found.get(name, []) for name in ("path", "leaf_path", "other_leaf_path")]
    texts = [found.get(name) for name in EVIDENCE_TEXTS]
    others = [found.get(name, "") for name in ("other_root", "kept_link", "shown_link", "leaf", "other_leaf")]
    if not all(isinstance(each, str) for each in [*texts, *others]) or not all(
        isinstance(each, list) for each in paths
    ):
        raise Fault("evidence-malformed", where, "a part of it is missing")
    if max(map(len, paths)) > 130 or not all(isinstance(each, str) for path in paths for each in path):
        raise Fault("evidence-malformed", where, "its hashes are malformed")
    index = found.get("index")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        raise Fault("evidence-malformed", where, "its index is malformed")
    return found


def judge(evidence: dict[str, Any], key: Key) -> tuple[bool, str]:
    """Whether evidence proves that the key signed two histories, and why or why not.

    1. Both checkpoints are signed by the key.
    2. Of one size, and with different roots: that alone proves it.
    3. Else the hashes lead from another root, at the smaller size, to the larger checkpoint's root.
    4. Or else each is over another leaf at the same index.
    5. Or else the key signed, beside each checkpoint, which log goes on from there, and those are two.
    """
    fork, why = judge_heads(evidence, key)
    if not fork and evidence.get("other_leaf"):
        fork, why = judge_leaves(evidence, key)
    if fork or not evidence.get("kept_link") or not evidence.get("shown_link"):
        return fork, why
    named = []
    for side in ("kept", "shown"):  # 5
        note, link = (evidence[f"{side}_{what}"].encode("utf-8", "surrogatepass") for what in ("checkpoint", "link"))
        try:
            named.append(continued(note, link, key, side).following)
        except Fault as fault:
            return False, f"{side}: {fault.detail}"
    if named[0] == named[1]:
        return False, "both links name the same log"
    return True, "the key named two logs that go on from it: " + " and ".join(each.split("+")[0] for each in named)


def judge_heads(evidence: dict[str, Any], key: Key) -> tuple[bool, str]:
    """Steps 1 to 3 of `judge`."""
    heads = []
    for name in ("kept_checkpoint", "shown_checkpoint"):  # 1
        try:
            heads.append(open_checkpoint(evidence[name].encode("utf-8", "surrogatepass"), key, name))
        except Fault as fault:
            return False, f"{name}: {fault.detail}"
    older, newer = sorted(heads, key=lambda head: head.size)
    if older.size == newer.size:  # 2
        if older.root == newer.root:
            return False, "both checkpoints are the same head"
        return True, f"the key signed two different roots for {older.size} entries"
    path = [unhash(each) for each in evidence.get("path", [])]  # 3
    hashes = [each for each in path if each is not None]
    if older.size == 0 or not hashes or len(hashes) != len(path):
        return False, "nothing shows which root the larger log has at the smaller size"
    complete = older.size & (older.size - 1) == 0
    given = unhash(evidence.get("other_root") or "")
    if complete and given is None:
        return False, "nothing shows which root the larger log has at the smaller size"
    roots = consistent_roots(older.size, newer.size, [given or b"", *hashes] if complete else hashes)
    if roots is None or roots[1] != newer.root:
        return False, "its hashes do not lead to the root of the larger checkpoint"
    if roots[0] == older.root:
        return False, f"the checkpoint of {newer.size} entries goes on from that of {older.size}"
    return True, f"the key signed one root for {older.size} entries, and {newer.size} that begin with another one"


def judge_leaves(evidence: dict[str, Any], key: Key) -> tuple[bool, str]:
    """Step 4 of `judge`."""
    index, leaf, other = evidence.get("index"), evidence.get("leaf", ""), evidence["other_leaf"]
    if index is None or index < 0 or leaf == other:
        return False, "it does not name two entries of one place"
    for name, text, steps in (("kept", leaf, "leaf_path"), ("shown", other, "other_leaf_path")):
        try:
            head = open_checkpoint(evidence[f"{name}_checkpoint"].encode("utf-8", "surrogatepass"), key, name)
        except Fault as fault:
            return False, f"{name}_checkpoint: {fault.detail}"
        path = [unhash(each) for each in evidence.get(steps, [])]
        hashes = [each for each in path if each is not None]
        node = leaf_hash(text.encode("utf-8", "surrogatepass"))
        if len(hashes) != len(path) or not included(node, index, head.size, hashes, head.root):
            return False, f"it does not prove which entry {index} the checkpoint of {head.size} entries has"
    return True, f"the key signed two checkpoints, with two different entries at {index}"


def check_evidence(arguments: Sequence[str]) -> int:
    """`evidence FILE`: exit code 0 when it proves a fork, 1 when it does not, 4 when it cannot be read."""
    parser = argparse.ArgumentParser(prog="keten-verify.py evidence", description="Does this prove a fork?")
    parser.add_argument("file", metavar="FILE", help="what a supplier, a witness or an auditor kept")
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key that you trust; else the one in the file")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    options = parser.parse_args(arguments)
    try:
        evidence = read_evidence(read_file("", options.file, 6 * MAX_NOTE), options.file)
    except (Fault, Unreadable) as error:
        print(f"UNREADABLE  {error.where}: {error.detail}")
        return 4
    key = read_key(options.key if options.key is not None else evidence["ledger_key"])
    if key is None and options.key is not None:
        parser.error("--key: this is not an Ed25519 verifier key (name+hash+key)")
    fork, why = judge(evidence, key) if key is not None else (False, "the key in it is malformed")
    if options.json:
        result = {"fork": fork, "why": why, "origin": key.name if key else None, "key_given": bool(options.key)}
        print(json.dumps(result))
    else:
        if not options.key:
            print(ascii(f"REMARK      the key came with the evidence: {evidence['ledger_key']}")[1:-1])
        print(ascii(f"{'It PROVES a fork' if fork else 'It proves no fork'}: {why}.")[1:-1])
    return 0 if fork else 1


def main() -> int:
    """The command; returns the exit code."""
    if sys.argv[1:2] == ["evidence"]:
        return check_evidence(sys.argv[2:])
    parser = argparse.ArgumentParser(
        description="Check an exported Keten ledger.",
        epilog="Exit codes: 0 holds, 1 does not hold, 2 wrong use, 4 cannot be read.",
    )
    parser.add_argument("folder", metavar="EXPORT_DIR", help="what `keten ledger export` made")
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key that you trust: name+hash+key")
    parser.add_argument("--checkpoint", metavar="FILE", nargs="+", default=[], help="checkpoints from earlier")
    parser.add_argument("--against", metavar="FILE", nargs="+", default=[], help="as --checkpoint; also evidence")
    parser.add_argument("--policy", metavar="FILE", default="", help="your own policy of witnesses (tlog-policy)")
    parser.add_argument("--proof", metavar="FILE", nargs="+", default=[], help="proofs of single entries")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    options = parser.parse_args()
    given = read_key(options.key) if options.key is not None else None
    if options.key is not None and given is None:
        parser.error("--key: this is not an Ed25519 verifier key (name+hash+key)")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # stdout is a text stream here
    report = Report()
    with contextlib.suppress(TooMany):  # the report says so itself
        check(options, given, report)
    if options.json:
        result = {"holds": report.exit_code() == 0, **report.facts}
        for name in ("faults", "unreadable", "remarks", "checkpoints", "proofs"):
            result[name] = getattr(report, name)
        print(json.dumps(result, indent=2))
    else:
        say(report, options.folder)
    return report.exit_code()


if __name__ == "__main__":
    sys.exit(main())
