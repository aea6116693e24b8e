"""What operators say about subjects, holds and requests that take two people. Part of the operator's socket."""

from __future__ import annotations

import msgspec


class Trace(msgspec.Struct, frozen=True):
    """Read what is known of a person or client, by name or id. Recorded first."""

    subject: str


class Traced(msgspec.Struct, frozen=True):
    """The subject. email: of a person, opened with its key. entry: that says that it was read."""

    kind: str
    id: str
    name: str
    supplier: str
    email: str
    keys: tuple[str, ...]
    roles: tuple[str, ...]
    ended: str
    erased: bool
    entry: str


class Addresses(msgspec.Struct, frozen=True):
    """Open the callers' addresses in these entries of a client; each asking is an entry."""

    subject: str
    indexes: tuple[int, ...]


class OpenAddresses(msgspec.Struct, frozen=True):
    """Ask that the addresses of a client may be read: from when two people signed, for an hour. Answer: `Outcome`."""

    subject: str
    reason: str


class OpenedAddresses(msgspec.Struct, frozen=True):
    """Entry's index → address, of those that can still be opened."""

    addresses: dict[int, str]
    entry: str


class Erase(msgspec.Struct, frozen=True):
    """Ask for the erasure of a person or client, by name or id. plan_only: say what it would do."""

    subject: str
    reason: str
    basis: str = ""
    plan_only: bool = False


class Approve(msgspec.Struct, frozen=True):
    """Approve a request, which is then carried out. plan_only: say what it will do.

    what, act: what the request is and its hash, as `RequestInfo` has them. A person says both, and its passkey signs
    for this body and so for them; users of the operating system need not.
    """

    request: str
    plan_only: bool = False
    what: str = ""
    act: str = ""


class Refuse(msgspec.Struct, frozen=True):
    """Refuse a request, or take back one's own. what: as of `Approve`, by a person."""

    request: str
    reason: str
    what: str = ""


class SetHold(msgspec.Struct, frozen=True):
    """Set a legal hold. kind: person, client, dataset, contract, or subject (a person or client). until_us 0: open."""

    kind: str
    target: str
    reason: str
    until_us: int = 0


class ReleaseHold(msgspec.Struct, frozen=True):
    """Ask for the release of a hold."""

    hold: str
    reason: str


class Everything(msgspec.Struct, frozen=True):
    """List requests: all of them, or only those that wait."""

    all: bool = False


class Line(msgspec.Struct, frozen=True):
    """How many of what, and why."""

    what: str
    count: int
    why: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What carrying out a request does. holds: what forbids it now. unreached: what nobody here can erase."""

    kind: str
    id: str
    name: str
    supplier: str = ""
    erased: list[Line] = []
    kept: list[Line] = []
    unreached: list[str] = []
    holds: list[str] = []
    already: bool = False


class Signer(msgspec.Struct, frozen=True):
    """Somebody who signed by a passkey. person: random id. at: RFC 3339."""

    person: str
    name: str
    at: str


class RequestInfo(msgspec.Struct, frozen=True):
    """A request. name: of what it is about, as the organisation calls it. Times are RFC 3339, "" for none.

    waits: why one that was approved is not carried out yet, and what becomes of it; "" when it does not wait.
    asked_by, decided_by: a user's name, or a person's. act: hash of verb and body, in hex. signed: who signed. people:
    how many more people have to sign at the console; 0 where it takes users of the operating system.
    """

    id: str
    what: str
    kind: str
    target: str
    name: str
    reason: str
    basis: str
    asked_by: str
    asked: str
    lapses: str
    state: str
    approvers: int
    decided_by: str = ""
    decided: str = ""
    remark: str = ""
    waits: str = ""
    act: str = ""
    signed: list[Signer] = []
    people: int = 0


class Requests(msgspec.Struct, frozen=True):
    """Requests, in the order of their last change."""

    requests: list[RequestInfo]


class HoldInfo(msgspec.Struct, frozen=True):
    """A hold. until: RFC 3339, "" with no end. in_force: false once its time is over or it was released."""

    id: str
    kind: str
    target: str
    name: str
    reason: str
    set_by: str
    set: str
    until: str
    in_force: bool


class Holds(msgspec.Struct, frozen=True):
    """The holds that nobody has released."""

    holds: list[HoldInfo]


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. plan: what it does. steps as in `Revoked`, empty while it waits. already: it was done before.

    request: None for a plan, and where nothing had to be asked.
    """

    plan: Plan
    request: RequestInfo | None = None
    steps: list[dict[str, str]] = []
    entry: str = ""
    already: bool = False


class Destroy(msgspec.Struct, frozen=True):
    """Destroy keys and content, for ever. `plan_only`: say what would be destroyed.

    `kind`: dataset, contract (what it alone covers), or object (`file`: its name or id). `target`: name or id.
    """

    target: str
    reason: str
    plan_only: bool = False
    kind: str = "dataset"
    file: str = ""


class Destroyed(msgspec.Struct, frozen=True):
    """`objects`: files that it held. `steps` as in `Revoked`, empty for a plan. `already`: it was destroyed before.

    `request`: waits for a second person, "" when none is needed. `kept`: of a contract, what stays, and why. `people`:
    how many people have to sign at the console, as of `RequestInfo`.
    """

    id: str
    name: str
    objects: int
    steps: list[dict[str, str]] = []
    entry: str = ""
    already: bool = False
    request: str = ""
    kept: list[str] = []
    people: int = 0


SUBJECT_VERBS: dict[str, tuple[type, type]] = {
    "revocation.destroy": (Destroy, Destroyed),
    "subjects.trace": (Trace, Traced),
    "subjects.addresses": (Addresses, OpenedAddresses),
    "subjects.open": (OpenAddresses, Outcome),
    "subjects.erase": (Erase, Outcome),
    "subjects.requests": (Everything, Requests),
    "subjects.approve": (Approve, Outcome),
    "subjects.refuse": (Refuse, RequestInfo),
    "subjects.hold": (SetHold, HoldInfo),
    "subjects.release": (ReleaseHold, Outcome),
    "subjects.holds": (Everything, Holds),
}
