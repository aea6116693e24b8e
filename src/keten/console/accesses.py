"""The last accesses and refusals, and what just ended, with names for ids."""

from __future__ import annotations

from collections.abc import Iterable

from keten.console.history import Happened, History, Over, number
from keten.console.model import Access, Ending, Progress
from keten.console.rows import Rows
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.identity.signin_entries import STRANGERS_REFUSED
from keten.ledger.bound import BoundRow
from keten.suppliers.model import Contract, Supplier
from keten.vault.model import Object

DAY_US = 86_400_000_000
_ENDS: dict[str, Progress] = {
    "": "under-way",
    "complete": "complete",
    "client-closed": "stopped",
    "cut": "cut",
    "ended": "cut",
    "damaged": "failed",
    "failed": "failed",
}


class Names:
    """Names for ids, as far as their rows hold; "" else."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._found: dict[tuple[type[BoundRow], str], str] = {}
        self._who: dict[str, tuple[str, str]] = {}

    def load(self, kind: type[BoundRow], ids: Iterable[str]) -> None:
        """Read the names of many rows of a type at once, ahead of asking for them one by one."""
        missing = [one for one in dict.fromkeys(ids) if is_id(one) and (kind, one) not in self._found]
        for row in self._rows.some(kind, missing):
            self._found[kind, row.id] = row.title if isinstance(row, Supplier) else row.name

    def load_who(self, ids: Iterable[str]) -> None:
        """Read who many people and accounts are at once."""
        missing = [one for one in dict.fromkeys(ids) if is_id(one) and one not in self._who]
        rows: list[Client | Person] = [*self._rows.some(Client, missing), *self._rows.some(Person, missing)]
        self.load(Supplier, (row.supplier for row in rows))
        for row in rows:
            self._who.setdefault(row.id, (row.name, self.of(Supplier, row.supplier)))

    def of(self, kind: type[BoundRow], row_id: str) -> str:
        """The name of a row; a supplier's title."""
        key = (kind, row_id)
        if key not in self._found:
            row = self._rows.one(kind, row_id) if is_id(row_id) else None
            self._found[key] = "" if row is None else row.title if isinstance(row, Supplier) else row.name
        return self._found[key]

    def who(self, actor: str) -> tuple[str, str]:
        """The name of whoever acted, and of its supplier."""
        if not is_id(actor):
            return actor, ""
        if actor not in self._who:
            rows = (self._rows.one(kind, actor) for kind in (Client, Person))
            found = next((row for row in rows if isinstance(row, Client | Person)), None)
            self._who[actor] = (found.name, self.of(Supplier, found.supplier)) if found else ("", "")
        return self._who[actor]


def last_accesses(history: History, names: Names) -> tuple[Access, ...]:
    """The newest accesses and refusals, newest first."""
    return tuple(_access(one, names) for one in reversed(history.recent))


def _access(one: Happened, names: Names) -> Access:
    who, supplier = names.who(one.subject or one.actor)
    refused = one.kind != "exchange.object.opened"
    reasons = one.details.get("reasons", ())
    cut = one.ended.get("reason")
    return Access(
        time_us=one.time_us,
        index=one.index,
        who=who,
        supplier=supplier or names.of(Supplier, one.refs.get("supplier", "")),
        file=names.of(Object, one.refs.get("object", "")),
        dataset=names.of(Dataset, one.refs.get("dataset", "")),
        progress="refused" if refused else _ENDS.get(one.end, "unknown"),
        reasons=tuple(map(str, reasons)) if refused else (str(cut),) if cut else (),
        asked=number(one.details.get("length")),
        sent=number(one.ended.get("bytes")),
        at_least=number(one.ended.get("at_least")),
        at_most=number(one.ended.get("at_most")),
        count=number(one.details.get("count")) or 1,
        proven=one.details.get("proven") is not False,
        sign_in=one.kind.startswith("identity."),
        # Every access names its network; only strangers are nothing but one.
        network=str(one.details.get("network", "")) if one.kind == STRANGERS_REFUSED.name else "",
    )


def just_ended(
    history: History, names: Names, contracts: Iterable[Contract], now_us: int
) -> tuple[Ending, ...]:
    """What ended in the last day, newest first: by an entry, or by itself because a contract was over."""
    since_us = now_us - DAY_US
    found = [_ending(one, names) for one in history.endings if one.time_us >= since_us]
    for contract in contracts:
        over = contract.ended is not None and contract.ended.at_us <= contract.ends_us
        if since_us <= contract.ends_us <= now_us and not over:
            supplier = names.of(Supplier, contract.supplier)
            found.append(Ending(contract.ends_us, "contract", contract.name, "expired", supplier=supplier))
    return tuple(sorted(found, key=lambda one: one.time_us, reverse=True))


def _ending(one: Over, names: Names) -> Ending:
    supplier = names.of(Supplier, one.refs.get("supplier", ""))
    if one.what == "transfer":
        sent = number(one.details.get("bytes"))
        file = names.of(Object, one.refs.get("object", ""))
        reason = str(one.details.get("reason", ""))
        return Ending(one.time_us, "transfer", file, "cut", reason, supplier=supplier, sent=sent)
    if one.what == "object":
        return Ending(one.time_us, "object", str(one.row.get("name", "")), "destroyed", "retention-over")
    ended = one.row.get("ended")
    reason = str(ended.get("reason", "")) if isinstance(ended, dict) else ""
    name = str(one.row.get("title") or one.row.get("name", ""))
    return Ending(one.time_us, one.what, name, "ended", reason, by=one.actor, supplier=supplier)
