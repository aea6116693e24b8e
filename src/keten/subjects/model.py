"""Requests that take two people, legal holds, and what an erasure will do."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.ledger.bound import BoundRow

What = Literal["erase", "release", "destroy-dataset", "destroy-object", "destroy-contract", "read"]
State = Literal["waiting", "approved", "refused", "lapsed", "done"]


class Operator(msgspec.Struct, frozen=True):
    """Who acts. name, uid: at the command line, by the operating system's word; else `person:<random id>`, and -1."""

    name: str
    uid: int

    @property
    def actor(self) -> str:
        """As entries name it."""
        return f"operator:{self.name}" if self.uid >= 0 else self.name


class Signature(msgspec.Struct, frozen=True, gc=False):
    """One person's, by a passkey. person, passkey: random ids. at_us: microseconds since 1970 UTC.

    act: SHA-256 (hex) of the verb and body that the passkey signed for: the request's own of whoever opened it, else
    of an approval whose body holds the request's.
    """

    person: str
    passkey: str
    at_us: int
    act: str


class Request(BoundRow, frozen=True, kw_only=True):
    """Something that cannot be undone, and that one person asked for. `name` is the id: nothing of it is anybody's.

    kind, target: what it is about, by word and random id. reason, basis: why, and by which law, in the asker's words.
    asked_by, decided_by: an operating-system user with its number (asked_uid, decided_uid), or `person:<random id>` and
    -1. Times are microseconds since 1970 UTC. lapses_us: from then on nobody can approve it. approvers: how many people
    it took. remark: why it was refused. act: SHA-256 (hex) of the verb and body that were asked for; "" of one from
    before. signatures: of people, in their order.
    """

    what: What
    kind: str
    target: str
    reason: str
    basis: str
    asked_by: str
    asked_uid: int
    asked_us: int
    lapses_us: int
    state: State = "waiting"
    approvers: int = 2
    decided_by: str = ""
    decided_uid: int = -1
    decided_us: int = 0
    remark: str = ""
    act: str = ""
    signatures: tuple[Signature, ...] = ()

    @property
    def approver(self) -> str:
        """Who decided, as entries name whoever acts."""
        return self.decided_by if self.decided_by.startswith("person:") else f"operator:{self.decided_by}"

    @property
    def refs(self) -> dict[str, str]:
        """What entries about it concern."""
        return {self.kind: self.target, "request": self.id}


class Hold(BoundRow, frozen=True, kw_only=True):
    """A legal hold: what it is on must be kept. `name` is the id.

    kind, target: a person, client, dataset or contract, by random id. until_us 0: until two people release it.
    """

    kind: str
    target: str
    reason: str
    set_by: str
    set_us: int
    until_us: int = 0
    state: Literal["set", "released"] = "set"

    def holds_at(self, now_us: int) -> bool:
        """Whether it is in force at a moment."""
        return self.state == "set" and (self.until_us == 0 or now_us < self.until_us)


class Line(msgspec.Struct, frozen=True):
    """One line of a plan: how many of what, and why."""

    what: str
    count: int
    why: str = ""


class ErasurePlan(msgspec.Struct, frozen=True):
    """What erasing a subject will do, as the second person sees it before approving.

    kind, id, name: the subject. erased: what will be gone. kept: what will stay, and why. unreached: what nobody here
    can erase, in sentences. holds: why it can't be done now. already: it was erased before.
    """

    kind: str
    id: str
    name: str
    supplier: str
    erased: list[Line]
    kept: list[Line]
    unreached: list[str]
    holds: list[str]
    already: bool = False
