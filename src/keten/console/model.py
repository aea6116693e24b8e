"""What the overview shows, before it is put into words. Times are microseconds since 1970 UTC; None is "not known"."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["open", "waiting", "closed", "unknown"]
Progress = Literal["under-way", "complete", "stopped", "cut", "failed", "unknown", "refused"]


class Mismatch(msgspec.Struct, frozen=True):
    """A row of the register that is not what its last entry says. `name` is the row's own word for itself, unproven."""

    table: str
    row: str
    name: str
    what: str


class Received(msgspec.Struct, frozen=True):
    """What was delivered: `sure` records in files that went out whole, at most `most` with those that went in part.

    most: None where the row of a file does not hold, so that nobody knows.
    """

    sure: int
    most: int | None
    files: int
    first_us: int
    last_us: int


class Held(msgspec.Struct, frozen=True):
    """Records of which all suppliers together hold a copy: as `Received`, each file counted once for a supplier."""

    sure: int
    most: int | None


class Share(msgspec.Struct, frozen=True):
    """One grant: what a supplier may fetch, until when and why, and what it has received.

    grant_id, dataset_id, supplier_id: random ids, "" where no row is known by it. supplier, dataset, contract: names;
    "" where the row is not there or does not hold. state "open": a system of the supplier can fetch it now, until
    `until_us`. "waiting": not yet. "closed": not (any more), for `reasons`. "unknown": a row does not hold, so it is
    refused. records, files: present content; None when that is not known.
    clients: how many of the supplier's systems may use it now. never: it was over before it began.
    """

    grant: str
    grant_id: str
    dataset_id: str
    supplier_id: str
    supplier: str
    tier: str
    dataset: str
    classification: str
    contract: str
    purpose: str
    form: str
    state: State
    reasons: tuple[str, ...]
    starts_us: int | None
    since_us: int | None
    until_us: int | None
    records: int | None
    files: int | None
    clients: int
    received: Received | None
    never: bool = False
    budget_records: int = 0
    budget_per: str = ""


class Access(msgspec.Struct, frozen=True):
    """One access, or refusal. `who`: the system's name. `count`: how many alike.

    proven False: anyone may have sent it in that name. sent: bytes; None with at_least and at_most where not known.
    """

    time_us: int
    index: int
    who: str
    supplier: str
    file: str
    dataset: str
    progress: Progress
    reasons: tuple[str, ...] = ()
    asked: int | None = None
    sent: int | None = None
    at_least: int | None = None
    at_most: int | None = None
    count: int = 1
    proven: bool = True
    sign_in: bool = False
    network: str = ""


class Ending(msgspec.Struct, frozen=True):
    """Something that ended: a row of the register (`what`: contract, grant, …), a "transfer", or a file ("object").

    how: expired (by itself), ended (by someone), cut, destroyed. reason: in an operator's own words, or a reason code.
    """

    time_us: int
    what: str
    name: str
    how: Literal["expired", "ended", "cut", "destroyed"]
    reason: str = ""
    by: str = ""
    supplier: str = ""
    sent: int | None = None
    at_most: int | None = None


class Look(msgspec.Struct, frozen=True):
    """The console's own verification of the ledger. `whole`: everything, not only the newest entries.

    faults: the first of them. failed: why it could not be done; "" when it was.
    """

    at_us: int
    whole: bool
    entries: int
    count: int = 0
    faults: tuple[str, ...] = ()
    failed: str = ""


class Proof(msgspec.Struct, frozen=True):
    """The state of the ledger. `faults`: what is wrong with key, checkpoint or head, as the ledger's checks say it.

    published: entries that the public checkpoint covers. outside: names of keys that are not ours and signed it.
    copied_us: when an operator last took a copy for an auditor. look: None when none is done yet.
    watched: whether the settings name witnesses or an authority. witnessed: entries that enough witnesses cosigned, and
    cosigners: how many did; stamped: entries that an authority stamped; None for none. waiting_us: the time of the
    oldest entry that has no outside signature and calls for one; 0 for none. cosigned_us: when each witness's key
    (name+hash) cosigned at last.
    """

    size: int
    newest_us: int
    origin: str
    key: str
    published: int | None
    published_us: int | None
    outside: tuple[str, ...]
    faults: tuple[str, ...]
    copied_us: int | None
    look: Look | None
    watched: bool = False
    witnessed: int | None = None
    witnessed_us: int = 0
    cosigners: int = 0
    stamped: int | None = None
    stamped_us: int = 0
    waiting_us: int = 0
    cosigned_us: dict[str, int] = {}


class Concern(msgspec.Struct, frozen=True):
    """Something that is wrong or weak. `code` chooses the sentence; `about`, `rows`: what it is about.

    details: as the checks of the ledger say it, in English.
    """

    code: str
    about: dict[str, str | int] = {}
    rows: tuple[Mismatch, ...] = ()
    details: tuple[str, ...] = ()
    grave: bool = False


class Overview(msgspec.Struct, frozen=True):
    """Everything the page shows.

    suppliers: how many there are; `hidden` of them are not shown, and where `cut` is true perhaps not every grant
    either. read, entries: how far the ledger was read.
    unread: entries that are damaged or erased, so that what they recorded is not counted.
    """

    at_us: int
    organisation: str
    zone: str
    shares: tuple[Share, ...]
    held: Held
    suppliers: int
    hidden: int
    cut: bool
    accesses: tuple[Access, ...]
    endings: tuple[Ending, ...]
    proof: Proof
    concerns: tuple[Concern, ...]
    read: int
    entries: int
    unread: int

    @property
    def complete(self) -> bool:
        """Whether the whole ledger was read."""
        return self.read >= self.entries
