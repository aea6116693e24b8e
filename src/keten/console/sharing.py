"""Who has what: for each grant whether it gives access now, by the same policies as the keeper's, and what went out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from keten.console.history import History, Piece
from keten.console.model import Held, Received, Share, State
from keten.console.rows import Rows
from keten.core.errors import Corrupt
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.ledger.query import Filter, find
from keten.policy.engine import Engine
from keten.policy.model import Allow, Attributes, Decision
from keten.policy.slices import Asked, Principal, attributes_of, candidate, check_belongs
from keten.suppliers.model import Contract, Grant, Supplier
from keten.vault.model import Object

P = TypeVar("P", Client, Person)
MOST_SHARES = 300
MOST_OF_DATASET = 25
_DECLARED = "suppliers.grant.declared"
_REMEMBERED = 10_000


class Content(msgspec.Struct, frozen=True):
    """A dataset's files.

    records, files: of those that are present, None when a row does not hold. known: each file's records and size in
    bytes, also of those that were destroyed.
    """

    records: int | None
    files: int | None
    known: dict[str, tuple[int, int]]


class _Ends(msgspec.Struct, frozen=True):
    """What a grant hangs between. None: not there, or a row that does not hold; `title` is then unproven.

    clients: system accounts that the grant is addressed to. people: of the supplier, any of whom may fetch at the
    portal; not read where a system account may act, which then answers for all. whole: nobody was left out because
    the row does not hold.
    """

    grant: Grant
    title: str
    supplier: Supplier | None
    contract: Contract | None
    dataset: Dataset | None
    clients: tuple[Client, ...]
    people: tuple[Person, ...]
    whole: bool

    @property
    def acting(self) -> tuple[Principal, ...]:
        """Whoever could fetch by it."""
        return (*self.clients, *self.people)


class Shared(msgspec.Struct, frozen=True):
    """The lines, what is held in all, how many suppliers there are and how many of them are not shown.

    held is nothing where it was not asked for (`of_dataset`). cut: other lines may be left out as well.
    """

    shares: tuple[Share, ...]
    held: Held
    suppliers: int
    hidden: int
    cut: bool


class Sharing:
    """Reads the lines of the overview. `engine`: the shipped policies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since: dict[str, int | None] = {}

    def read(
        self, connection: Connection, rows: Rows, history: History, contracts: Mapping[str, Contract], now_us: int
    ) -> Shared:
        """The shares, by supplier. contracts: every one that holds, by id.

        1. Suppliers in the order of their names, and the grants of each, until there are enough lines.
        2. Decide on each grant, for a system of the supplier that it is addressed to.
        3. Count what is in each dataset, and what of it the supplier received.
        4. What was received under grants that no line is about, because their row does not hold, gets a line as well.
        """
        suppliers = _suppliers(rows)
        ends: list[_Ends] = []
        shown: set[str] = set()
        for row_id, title, supplier in suppliers:  # 1
            if len(ends) >= MOST_SHARES:
                break
            shown.add(row_id)
            ends += islice(_ends(rows, contracts, row_id, title, supplier, now_us), MOST_SHARES)
        decisions = self._decide(ends, now_us)  # 2
        contents: dict[str, Content] = {}  # 3
        shares: list[Share] = []
        for one, decision in zip(ends, decisions, strict=True):
            content = _content(rows, contents, one, now_us)
            shares.append(self._share(connection, one, decision, content, history, now_us))
        hidden = {row_id for row_id, _title, _supplier in suppliers} - shown
        titles = {row_id: title for row_id, title, _supplier in suppliers}
        grants = {one.grant.id for one in ends}
        held: dict[tuple[str, str], dict[str, Piece]] = {}
        for (supplier_id, dataset_id, grant_id), pieces in islice(history.pieces.items(), 2 * MOST_SHARES):
            if dataset_id not in contents:
                contents[dataset_id] = _read_content(rows, dataset_id, now_us)
            _add(held.setdefault((supplier_id, dataset_id), {}), pieces)
            if grant_id not in grants and supplier_id not in hidden:  # 4
                dataset = rows.one(Dataset, dataset_id)
                received = _received(pieces, contents[dataset_id])
                shares.append(_without_grant(supplier_id, titles.get(supplier_id, ""), dataset, received))
        cut = len(ends) >= MOST_SHARES or len(history.pieces) > 2 * MOST_SHARES
        return Shared(tuple(sorted(shares, key=_order)), _held(held, contents), len(suppliers), len(hidden), cut)

    def of(self, rows: Rows, connection: Connection, history: History, supplier: Supplier, now_us: int) -> Shared:
        """The shares of one supplier, as `read` makes them of all."""
        contracts = {one.id: one for one in rows.all(Contract, supplier=supplier.id)}
        ends = list(islice(_ends(rows, contracts, supplier.id, supplier.title, supplier, now_us), MOST_SHARES))
        contents: dict[str, Content] = {}
        shares = [
            self._share(connection, one, decision, _content(rows, contents, one, now_us), history, now_us)
            for one, decision in zip(ends, self._decide(ends, now_us), strict=True)
        ]
        grants = {one.grant.id for one in ends}
        held: dict[tuple[str, str], dict[str, Piece]] = {}
        cut = len(ends) >= MOST_SHARES
        for (supplier_id, dataset_id, grant_id), pieces in history.pieces.items():
            if supplier_id != supplier.id:
                continue
            if len(contents) > MOST_SHARES:
                cut = True
                break
            if dataset_id not in contents:
                contents[dataset_id] = _read_content(rows, dataset_id, now_us)
            _add(held.setdefault((supplier_id, dataset_id), {}), pieces)
            if grant_id not in grants and not cut:
                dataset = rows.one(Dataset, dataset_id)
                received = _received(pieces, contents[dataset_id])
                shares.append(_without_grant(supplier_id, supplier.title, dataset, received))
        return Shared(tuple(sorted(shares, key=_order)), _held(held, contents), 1, 0, cut)

    def of_dataset(
        self, rows: Rows, connection: Connection, history: History, dataset: Dataset, now_us: int
    ) -> Shared:
        """The shares of one dataset, by supplier."""
        grants = list(rows.few(Grant, MOST_OF_DATASET, dataset=dataset.id))
        wanted = list({grant.supplier: None for grant in grants})
        suppliers = {one.id: one for one in rows.some(Supplier, wanted)}
        contracts = {one.id: one for one in rows.some(Contract, list({grant.contract: None for grant in grants}))}
        failures = rows.failures
        clients: dict[str, list[Client]] = {}
        for client in rows.among(Client, "supplier", wanted):
            clients.setdefault(client.supplier, []).append(client)
        people: dict[str, list[Person]] = {}
        for person in rows.among(Person, "supplier", wanted):
            people.setdefault(person.supplier, []).append(person)
        whole = rows.failures == failures
        ends: list[_Ends] = []
        for grant in grants:
            supplier, contract = suppliers.get(grant.supplier), contracts.get(grant.contract)
            acting = clients.get(grant.supplier, [])
            addressed = _addressed(grant, acting)
            found = [] if _acts(addressed, now_us) else _addressed(grant, people.get(grant.supplier, []))
            title = supplier.title if supplier is not None else ""
            ends.append(_Ends(grant, title, supplier, contract, dataset, tuple(addressed), tuple(found), whole))
        content = _read_content(rows, dataset.id, now_us)
        shares = [
            self._share(connection, one, decision, content, history, now_us)
            for one, decision in zip(ends, self._decide(ends, now_us), strict=True)
        ]
        return Shared(tuple(sorted(shares, key=_order)), Held(0, 0), 0, 0, len(ends) >= MOST_OF_DATASET)

    def _decide(self, ends: Sequence[_Ends], now_us: int) -> list[Decision | None]:
        """Step 2; None where a row is missing or does not hold, or where nobody could ask."""
        slices = [_slice(one, now_us) for one in ends]
        found = iter(self._engine.decide_many([one for one in slices if one is not None]))
        return [None if one is None else next(found) for one in slices]

    def _share(
        self,
        connection: Connection,
        ends: _Ends,
        decision: Decision | None,
        content: Content,
        history: History,
        now_us: int,
    ) -> Share:
        grant, contract, dataset, supplier = ends.grant, ends.contract, ends.dataset, ends.supplier
        active = sum(one.ended is None and not one.suspended_at(now_us) for one in ends.clients)
        state, reasons = _state(ends, decision)
        since_us, until_us = self._since_us(connection, history, grant, contract), _until_us(ends, decision)
        return Share(
            grant=grant.name,
            grant_id=grant.id,
            dataset_id=grant.dataset,
            supplier_id=grant.supplier,
            supplier=ends.title,
            tier=supplier.tier if supplier else "",
            dataset=dataset.name if dataset else "",
            classification=dataset.classification if dataset else "",
            contract=contract.name if contract else "",
            purpose=grant.purpose,
            form=grant.form,
            state=state,
            reasons=reasons,
            starts_us=contract.starts_us if contract else None,
            since_us=since_us,
            until_us=until_us,
            records=content.records,
            files=content.files,
            clients=active,
            received=_received(history.pieces.get((grant.supplier, grant.dataset, grant.id), {}), content),
            never=since_us is not None and until_us is not None and since_us >= until_us,
            budget_records=grant.budget_records,
            budget_per=grant.budget_per,
        )

    def _since_us(
        self, connection: Connection, history: History, grant: Grant, contract: Contract | None
    ) -> int | None:
        """Since when there is access: the grant was made, and the contract had started."""
        declared = history.granted_us.get(grant.id)
        if declared is None:
            declared = self._declared_us(connection, grant)
        return max(declared, contract.starts_us) if declared is not None and contract is not None else None

    def _declared_us(self, connection: Connection, grant: Grant) -> int | None:
        if grant.id not in self._since:
            if len(self._since) >= _REMEMBERED:
                self._since.clear()
            asked = Filter(grant=grant.id, kind=_DECLARED, limit=1)
            try:
                self._since[grant.id] = next((entry.time_us for entry in find(connection, asked)), None)
            except Corrupt:
                return None
        return self._since[grant.id]


def _slice(ends: _Ends, now_us: int) -> Attributes | None:
    """What is decided upon: a system or person of the supplier, one that may act if there is one, opening the dataset.

    It asks from a country that the contract names: from where it really asks is not known beforehand.
    """
    if ends.supplier is None or ends.contract is None or ends.dataset is None or not ends.acting:
        return None
    asking = min(ends.acting, key=lambda one: (one.ended is not None, one.suspended_at(now_us)))
    country = next(iter(ends.contract.countries), "")
    asked = Asked(asking.id, ends.dataset.id, "open", country, now_us)
    try:
        check_belongs(asking, ends.supplier, ends.dataset, (ends.grant,))
        return attributes_of(asked, asking, ends.supplier, ends.dataset, candidate(ends.grant, ends.contract))
    except Corrupt:
        return None


def _state(ends: _Ends, decision: Decision | None) -> tuple[State, tuple[str, ...]]:
    if isinstance(decision, Allow):
        return "open", ()
    if decision is not None:
        waiting = decision.reasons == ("contract-not-started",)
        return ("waiting" if waiting else "closed"), tuple(decision.reasons)
    if None not in (ends.supplier, ends.contract, ends.dataset) and not ends.acting and ends.whole:
        return "closed", ("no-client",)
    return "unknown", ("register-mismatch",)


def _until_us(ends: _Ends, decision: Decision | None) -> int | None:
    """Until when access holds, held, or will hold: as decided, or when the first of what it hangs on was over."""
    if isinstance(decision, Allow):
        return decision.valid_until_us
    if ends.supplier is None or ends.contract is None or ends.dataset is None:
        return None
    rows = (ends.grant, ends.contract, ends.supplier, ends.dataset)
    over = [ends.contract.ends_us, *(row.ended.at_us for row in rows if row.ended is not None)]
    left = [one.ended.at_us for one in ends.acting if one.ended is not None]
    if left and len(left) == len(ends.acting):
        over.append(max(left))
    return min(over)


def _suppliers(rows: Rows) -> list[tuple[str, str, Supplier | None]]:
    """Every supplier by title: id, title, and the row if it holds."""
    found: list[tuple[str, str, Supplier | None]] = [(one.id, one.title, one) for one in rows.all(Supplier)]
    found += [(one.row, one.name, None) for one in rows.mismatches if one.table == "suppliers"]
    return sorted(found, key=lambda one: (one[1].casefold(), one[0]))


def _ends(
    rows: Rows, contracts: Mapping[str, Contract], supplier_id: str, title: str, supplier: Supplier | None, now_us: int
) -> Iterator[_Ends]:
    """The grants of a supplier, with what they hang between. Its people are read when no system account answers."""
    failures = rows.failures
    clients = tuple(rows.all(Client, supplier=supplier_id))
    people: list[Person] | None = None
    datasets: dict[str, Dataset | None] = {}
    for grant in rows.all(Grant, supplier=supplier_id):
        if grant.dataset not in datasets:
            datasets[grant.dataset] = rows.one(Dataset, grant.dataset)
        addressed = _addressed(grant, clients)
        found: list[Person] = []
        if not _acts(addressed, now_us):
            if people is None:
                people = list(rows.all(Person, supplier=supplier_id))
            found = _addressed(grant, people)
        contract, dataset = contracts.get(grant.contract), datasets[grant.dataset]
        whole = rows.failures == failures
        yield _Ends(grant, title, supplier, contract, dataset, tuple(addressed), tuple(found), whole)


def _addressed(grant: Grant, some: Sequence[P]) -> list[P]:
    return [one for one in some if not grant.to or one.id in grant.to]


def _acts(clients: Sequence[Client], now_us: int) -> bool:
    return any(one.ended is None and not one.suspended_at(now_us) for one in clients)


def _content(rows: Rows, held: dict[str, Content], ends: _Ends, now_us: int) -> Content:
    dataset = ends.grant.dataset
    if dataset not in held:
        held[dataset] = _read_content(rows, dataset, now_us)
    return held[dataset]


def _read_content(rows: Rows, dataset: str, now_us: int) -> Content:
    failures = rows.failures
    known: dict[str, tuple[int, int]] = {}
    records = files = 0
    for found in rows.all(Object, dataset=dataset):
        known[found.id] = (found.records, found.size)
        if found.state == "present" and not 0 < found.expires_us <= now_us:
            records += found.records
            files += 1
    if rows.failures > failures:
        return Content(None, None, known)
    return Content(records, files, known)


def _without_grant(supplier_id: str, title: str, dataset: Dataset | None, received: Received | None) -> Share:
    """A line for what was received under a grant whose row does not hold."""
    return Share(
        grant="",
        grant_id="",
        dataset_id=dataset.id if dataset else "",
        supplier_id=supplier_id,
        supplier=title,
        tier="",
        dataset=dataset.name if dataset else "",
        classification=dataset.classification if dataset else "",
        contract="",
        purpose="",
        form="",
        state="unknown",
        reasons=("register-mismatch",),
        starts_us=None,
        since_us=None,
        until_us=None,
        records=None,
        files=None,
        clients=0,
        received=received,
    )


def _received(pieces: dict[str, Piece], content: Content) -> Received | None:
    """What went out. A file counts as whole once as many bytes as it has were sent, in however many pieces."""
    if not pieces:
        return None
    sure, most, known = 0, 0, True
    for file, piece in pieces.items():
        if file not in content.known:
            known = False
            continue
        records, size = content.known[file]
        most += records
        sure += records if piece.sure >= size else 0
    times = pieces.values()
    first, last = min(one.first_us for one in times), max(one.last_us for one in times)
    return Received(sure, most if known else None, len(pieces), first, last)


def _add(held: dict[str, Piece], pieces: dict[str, Piece]) -> None:
    """Add what a supplier received of a dataset under one grant to what it received under others."""
    for file, piece in pieces.items():
        one = held.setdefault(file, Piece(piece.first_us, piece.last_us))
        one.sure += piece.sure
        one.most += piece.most


def _held(held: dict[tuple[str, str], dict[str, Piece]], contents: dict[str, Content]) -> Held:
    """All of it together."""
    found = [_received(pieces, contents[dataset]) for (_supplier, dataset), pieces in held.items()]
    known = [one for one in found if one is not None]
    most = [one.most for one in known if one.most is not None]
    return Held(sum(one.sure for one in known), sum(most) if len(most) == len(known) else None)


def _order(share: Share) -> tuple[str, str, int, str]:
    """By supplier, what is open first."""
    place = {"unknown": 0, "open": 1, "waiting": 2, "closed": 3}[share.state]
    return share.supplier.casefold(), share.supplier_id, place, share.dataset
