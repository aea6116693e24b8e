"""One difference between an estate and the register, and how it is shown: in the words of the estate file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from keten.budgets.model import Limit
from keten.core.clock import SECOND, rfc3339
from keten.datasets.model import Dataset
from keten.identity.keys import parse_line
from keten.identity.model import Addresses, Client, Confirmation, EndableRow, Person
from keten.ledger.bound import BoundRow
from keten.suppliers.mistakes import plain
from keten.suppliers.model import Caseload, Contract, Grant, Organisation, Supplier
from keten.systems.model import System

DECLARED = "declared"
CHANGED = "changed"
ENDED = "ended"
KEPT_ENDED = "kept-ended"
# Above so many changes, what is new is named without its fields, or the answer would not fit in a frame.
MAX_WITH_FIELDS = 10_000
_HIDDEN = "(not shown)"
_SIGNS = {DECLARED: "+", CHANGED: "~", ENDED: "-", KEPT_ENDED: "!"}
_LEFT_OUT = {
    "to": "everyone of the supplier",
    "countries": "from anywhere",
    "budget": "no limit",
    "notify_within_hours": "not agreed",
    "retention_days": "no end",
    "budgets": "one window",
    "columns": "all of a table",
    "caseload": "anybody's records",
    "table": "files",
    "source": "the vault",
    "breaker": "no limit",
    "confirm_grants_days": "never",
    "confirm_roles_days": "never",
    "confirm_days": "as the organisation says",
    "confirmed_until": "need not be",
    "networks": "not known",
    "hosts": "not known",
}
_COUNTED = {DECLARED: "to declare", CHANGED: "to change", ENDED: "to end", KEPT_ENDED: "stay ended"}
_DONE = {DECLARED: "declared", CHANGED: "changed", ENDED: "ended", KEPT_ENDED: "stay ended"}


class Change(msgspec.Struct, frozen=True):
    """What `apply` will do, or refuse to do, to one row.

    kind: organisation, supplier, person, client, contract, system, dataset or grant; name: the estate's id.
    change: `DECLARED`, `CHANGED`, `ENDED` (no longer in the estate) or `KEPT_ENDED` (in it, but over for ever).
    addresses: those to be sealed with the row, when one of them is new; never shown.
    """

    kind: str
    name: str
    id: str
    change: str
    before: BoundRow | None = None
    after: BoundRow | None = None
    addresses: Addresses | None = None


def is_inside(change: Change) -> bool:
    """Whether this changes something of the organisation's own: itself, its people, systems or datasets."""
    row = change.after or change.before
    own = change.kind in ("organisation", "system", "dataset") or (isinstance(row, Person) and not row.supplier)
    return own and change.change != KEPT_ENDED


def summary(change: Change, names: Mapping[str, str], *, fields: bool = True) -> dict[str, Any]:
    """A change as the keeper answers it: kind, name, id, change, fields {name: [before, after]}."""
    return {
        "kind": change.kind,
        "name": change.name,
        "id": change.id,
        "change": change.change,
        "fields": _fields(change, names) if fields else {},
    }


def summaries(changes: Sequence[Change], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """All changes as the keeper answers them. `names`: random id → the estate's id, of what rows refer to."""
    few = len(changes) <= MAX_WITH_FIELDS
    return [summary(one, names, fields=few or one.change != DECLARED) for one in changes]


def render(changes: Sequence[Mapping[str, Any]], *, done: bool = False) -> list[str]:
    """Summaries as lines of plain text: + new, ~ changed, - ends, ! stays ended; then a line that counts them.

    done: they were made, rather than planned.
    """
    lines: list[str] = []
    counts = dict.fromkeys(_COUNTED, 0)
    for one in changes:
        change = str(one["change"])
        counts[change] += 1
        lines.append(plain(f"{_SIGNS[change]} {one['kind']} {one['name']}{_remark(one, done=done)}"))
        if change in {DECLARED, CHANGED}:
            lines.extend(_field_lines(one["fields"], new=change == DECLARED))
    words = _DONE if done else _COUNTED
    told = ", ".join(f"{count} {words[change]}" for change, count in counts.items() if count)
    nothing = "Nothing was changed" if done else "Nothing to change"
    return [*lines, f"{told}." if told else f"{nothing}: the register is what the estate says."]


def _remark(one: Mapping[str, Any], *, done: bool) -> str:
    if one["change"] == ENDED:
        return f": no longer in the estate; access {'ended' if done else 'ends'}, for good"
    if one["change"] == KEPT_ENDED:
        since = one["fields"].get("ended", ["earlier"])[0]
        return f": stays ended ({since}); only a new id gives access again"
    if sooner(one):
        return ": what it holds longer than that is destroyed, a week from now at the earliest"
    return ""


def sooner(one: Mapping[str, Any]) -> bool:
    """Whether content of a dataset is destroyed sooner by a change."""
    before, after = one["fields"].get("retention_days", (0, 0)) if one["change"] == CHANGED else (0, 0)
    return bool(after) and (not before or after < before)


def _field_lines(fields: Mapping[str, Sequence[Any]], *, new: bool) -> list[str]:
    return [
        plain(f"    {name}: {'' if new else f'{_text(name, before)} -> '}{_text(name, after)}")
        for name, (before, after) in fields.items()
    ]


def _text(name: str, value: Any) -> str:
    """A value as people read it: what was left out says what that means."""
    if value is None or value in ([], ()) or (value == 0 and name in _LEFT_OUT):
        return _LEFT_OUT.get(name, "none")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(str(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {one}' for key, one in value.items())}}}"
    return str(value)


def _fields(change: Change, names: Mapping[str, str]) -> dict[str, list[Any]]:
    before, after = change.before, change.after
    if change.change == KEPT_ENDED and isinstance(before, EndableRow) and before.ended is not None:
        since = f"{rfc3339(before.ended.at_us)}: {before.ended.reason}"
        return {"ended": [since, since]}
    if after is None:
        return {}
    old = _view(before, names) if before is not None else {}
    new = _view(after, names)
    fields = {
        name: [old.get(name), new.get(name)]
        for name in {**new, **old}
        if before is None or old.get(name) != new.get(name)
    }
    if change.addresses is not None:
        fields["email"] = [_HIDDEN if before is not None else None, _HIDDEN]
    if isinstance(before, Contract) and isinstance(after, Contract):
        _add_moments(fields, before, after)
    return fields


def _add_moments(fields: dict[str, list[Any]], before: Contract, after: Contract) -> None:
    """The same words may mean another moment, when the organisation's time zone changes."""
    for name in ("starts", "ends"):
        old, new = getattr(before, f"{name}_us"), getattr(after, f"{name}_us")
        if old != new and name not in fields:
            fields[name] = [f"{getattr(row, name)} ({rfc3339(us)})" for row, us in ((before, old), (after, new))]


def _view(row: BoundRow, names: Mapping[str, str]) -> dict[str, Any]:
    """A row in the words of the estate file."""
    match row:
        case Organisation():
            return {"name": row.name, "country": row.country, "timezone": row.timezone} | _days(
                confirm_grants_days=row.confirm_grants_days, confirm_roles_days=row.confirm_roles_days
            )
        case Supplier():
            own = {"name": row.title, "country": row.country, "tier": row.tier}
            places = {"networks": list(row.networks) or None, "hosts": list(row.hosts) or None}
            return own | _given(budget=_limit(row.budget), **places)
        case Person():
            of = {"supplier": names.get(row.supplier, row.supplier)} if row.supplier else {}
            return of | {"roles": list(row.roles)} | _confirm(row.confirm)
        case Client():
            return {
                "supplier": names.get(row.supplier, row.supplier),
                "keys": [parse_line(key).fingerprint for key in row.keys],
            }
        case Contract():
            return {
                "supplier": names.get(row.supplier, row.supplier),
                "starts": row.starts,
                "ends": row.ends,
                "purposes": list(row.purposes),
                "countries": list(row.countries) or None,
                "notify_within_hours": row.notify_within_hours,
            }
        case System():
            return {"name": row.title, "kind": row.kind, "owner": names.get(row.owner, row.owner)}
        case Dataset():
            return {
                "owner": names.get(row.owner, row.owner),
                "classification": row.classification,
                "retention_days": row.retention_days,
            } | _given(
                source=_source(row, names),
                table=_table(row),
                breaker=_limit(row.breaker),
                confirm_days=row.confirm_days or None,
            )
        case Grant():
            limits = [_limit(one) for one in row.limits]
            return {
                "dataset": names.get(row.dataset, row.dataset),
                "contract": names.get(row.contract, row.contract),
                "purpose": row.purpose,
                "form": row.form,
                "to": [names.get(client, client) for client in row.to] or None,
                "budget": limits[0] if limits else None,
                "label": row.label,
            } | _given(
                budgets=limits if len(limits) > 1 else None,
                columns=list(row.columns) or None,
                caseload=_caseload(row.caseload, names),
                **_confirm(row.confirm),
            )
        case _:
            raise TypeError(f"no row of the register: {type(row).__name__}")


def _limit(limit: Limit | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    shown: dict[str, Any] = {"records": limit.records, "per": limit.per}
    if limit.beyond is not None:
        shown |= {"then": limit.beyond.then, "most": limit.beyond.most}
        if limit.beyond.every_us:
            shown["every"] = f"{limit.beyond.every_us // SECOND}s"
    return shown


def _table(row: Dataset) -> dict[str, Any] | None:
    if not row.columns:
        return None
    return {"key": row.key, "columns": ", ".join(f"{one.name} ({one.category})" for one in row.columns)}


def _source(row: Dataset, names: Mapping[str, str]) -> dict[str, Any] | None:
    if row.source is None:
        return None
    return {"system": names.get(row.source.system, row.source.system), "table": row.source.table}


def _caseload(caseload: Caseload | None, names: Mapping[str, str]) -> dict[str, Any] | None:
    if caseload is None:
        return None
    dataset = names.get(caseload.dataset, caseload.dataset)
    return {"dataset": dataset, "column": caseload.column, "outside": caseload.outside or "refuse"}


def _confirm(confirm: Confirmation | None) -> dict[str, Any]:
    """To the day: the moment moves with the clock between looking at a difference and applying it."""
    return {} if confirm is None or not confirm.every_days else {"confirmed_until": rfc3339(confirm.until_us)[:10]}


def _days(**fields: int) -> dict[str, Any]:
    return {name: days for name, days in fields.items() if days}


def _given(**fields: Any) -> dict[str, Any]:
    """What most rows do not have is shown of those that have it."""
    return {name: value for name, value in fields.items() if value is not None}
