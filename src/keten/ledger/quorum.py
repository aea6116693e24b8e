"""Which outside signatures make a checkpoint count: policy files (c2sp.org/tlog-policy).

Lines of `log <vkey> [<url>]`, `witness <name> <vkey> [<url>]`, `group <name> <k>|any|all <name>…`, and one of
`quorum <name>|none`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.errors import Invalid, KetenError
from keten.core.settings import Settings
from keten.ledger.cosignatures import CosignatureKey
from keten.ledger.notes import Verifier

NONE = "none"
MAX_POLICY_BYTES = 1 << 20
MOST_LABEL = 300  # characters of a key's name+hash, by which its cosignatures are kept
_SPACE = re.compile(r"[ \t]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,5}\Z")
T = TypeVar("T")


class Witness(msgspec.Struct, frozen=True):
    """A witness by its name in the policy, its key, and the address to ask it at ("": it is not asked)."""

    name: str
    key: CosignatureKey
    url: str


class Group(msgspec.Struct, frozen=True):
    """So many of these members, each a witness or another group by name."""

    threshold: int
    members: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True):
    """A policy as read. `logs`: the logs it is about; empty: any. `quorum`: a name, or "none"."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str

    @property
    def keys(self) -> tuple[CosignatureKey, ...]:
        """The witnesses' keys."""
        return tuple(one.key for one in self.witnesses)

    def satisfied(self, labels: Collection[str]) -> bool:
        """Whether cosignatures by these keys (name+hash) are enough."""
        if self.quorum == NONE:
            return True
        held = {one.name: one.key.label in labels for one in self.witnesses}
        for name, group in self.groups.items():  # members come before the groups that hold them
            held[name] = sum(held[member] for member in group.members) >= group.threshold
        return held[self.quorum]

    def is_of(self, log: Verifier) -> bool:
        """Whether the policy is about this log: it names it, or no log at all."""
        return not self.logs or any((one.name, one.id) == (log.name, log.id) for one in self.logs)


def load_policy(settings: Settings) -> Policy | None:
    """The policy that the settings name; None when they name none. Raises `Invalid` ("policy") naming file and line."""
    if not settings.witnesses.policy:
        return None
    path = Path(settings.home) / settings.witnesses.policy
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Invalid("policy", f"The witnesses' policy {path} cannot be read: {error.strerror}.") from error
    return parse_policy(content, str(path))


def parse_policy(content: bytes, name: str) -> Policy:
    """Read a policy file; `name` is what mistakes are reported by. Raises `Invalid` ("policy") as NAME:LINE: reason.

    1. Every line is one of the four kinds, a comment, or empty. All names are different.
    2. A group's members, and the quorum, were defined above. Each member stands in one group only.
    3. No key is there twice, whatever it is called. There is just one quorum line.
    """
    if len(content) > MAX_POLICY_BYTES:
        raise Invalid("policy", f"{name}: it is too large for a policy.")
    reading = _Reading(name)
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), 1):
        reading.take(number, line)
    return reading.finish()


class _Reading:
    """A policy while it is read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = 0
        self._logs: dict[bytes, Verifier] = {}
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._grouped: set[str] = set()
        self._quorum = ""
        self._kinds: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum_line,
        }

    def take(self, number: int, line: str) -> None:
        """One line."""
        self._line = number
        if _FORBIDDEN.search(line):
            raise self._wrong("it holds a control character")
        words = _SPACE.split(line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            return
        if words[0] not in self._kinds:
            raise self._wrong(f"a line begins with log, witness, group or quorum, not {words[0][:40]!r}")
        self._kinds[words[0]](words[1:])

    def finish(self) -> Policy:
        """The policy. `Invalid` when it has no quorum."""
        if not self._quorum:
            raise self._wrong("there is no quorum line")
        witnesses = tuple(self._witnesses.values())
        return Policy(tuple(self._logs.values()), witnesses, self._groups, self._quorum)

    def _log(self, words: list[str]) -> None:
        self._expect(words, 1, 2, "log <verifier key> [<url>]")
        log = self._key(words[0], Verifier.parse)
        if log.public in self._logs:
            raise self._wrong("this log's key is there already")
        self._logs[log.public] = log

    def _witness(self, words: list[str]) -> None:
        self._expect(words, 2, 3, "witness <name> <verifier key> [<url>]")
        self._new(words[0])
        key = self._key(words[1], CosignatureKey.parse)
        if any(one.key.public == key.public for one in self._witnesses.values()):
            raise self._wrong("this witness's key is there already")
        if len(key.label) > MOST_LABEL:
            raise self._wrong("the name in this witness's key is too long")
        self._witnesses[words[0]] = Witness(words[0], key, words[2] if len(words) > 2 else "")

    def _group(self, words: list[str]) -> None:
        self._expect(words, 3, 1 << 16, "group <name> <k>|any|all <name>…")
        name, least, *members = words
        self._new(name)
        for member in members:
            self._known(member)
            if member in self._grouped:
                raise self._wrong(f"{member!r} is in a group already")
            self._grouped.add(member)
        numbers = {"any": 1, "all": len(members)}
        threshold = int(least) if _THRESHOLD.match(least) else numbers.get(least, 0)
        if not 1 <= threshold <= len(members):
            raise self._wrong(f"of {len(members)} members, {least[:20]!r} cannot be needed: any, all, or a number")
        self._groups[name] = Group(threshold, tuple(members))

    def _quorum_line(self, words: list[str]) -> None:
        self._expect(words, 1, 1, "quorum <name>|none")
        if self._quorum:
            raise self._wrong("there is a quorum line already")
        if words[0] != NONE:
            self._known(words[0])
        self._quorum = words[0]

    def _expect(self, words: list[str], least: int, most: int, form: str) -> None:
        if not least <= len(words) <= most:
            raise self._wrong(f"it must be: {form}")

    def _new(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise self._wrong(f"the name {name[:40]!r} is taken")

    def _known(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise self._wrong(f"no witness or group {name[:40]!r} is defined above")

    def _key(self, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except KetenError as error:
            raise self._wrong(error.public) from error

    def _wrong(self, reason: str) -> Invalid:
        return Invalid("policy", f"{self._name}:{self._line}: {reason.rstrip('.')}.")
