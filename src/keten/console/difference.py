"""What an estate file would change, in sentences: what ends, what changes, what comes in, and what stays ended.

From what the keeper answers to `suppliers.apply` (`suppliers/changes.py`), in the words of the estate file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from keten.console import wording
from keten.pages.words import N_, Words
from keten.suppliers.changes import CHANGED, DECLARED, ENDED, KEPT_ENDED, sooner

ENDS_SHOWN = 1000
SHOWN = 200
_FIELDS = {
    "name": N_("name"),
    "country": N_("country"),
    "timezone": N_("time zone"),
    "tier": N_("importance"),
    "budget": N_("budget"),
    "budgets": N_("budgets"),
    "networks": N_("networks"),
    "hosts": N_("hosts"),
    "supplier": N_("supplier"),
    "roles": N_("roles"),
    "keys": N_("keys"),
    "starts": N_("start"),
    "ends": N_("end"),
    "purposes": N_("purposes"),
    "countries": N_("countries"),
    "notify_within_hours": N_("tells of an incident within"),
    "kind": N_("kind"),
    "owner": N_("owner"),
    "classification": N_("class"),
    "retention_days": N_("kept for"),
    "table": N_("table"),
    "source": N_("where the records are"),
    "breaker": N_("most for all together"),
    "dataset": N_("dataset"),
    "contract": N_("contract"),
    "purpose": N_("purpose"),
    "form": N_("form"),
    "to": N_("for"),
    "label": N_("folder"),
    "columns": N_("columns"),
    "caseload": N_("whose records"),
    "confirm_grants_days": N_("grants have to be confirmed every"),
    "confirm_roles_days": N_("roles have to be confirmed every"),
    "confirm_days": N_("its grants have to be confirmed every"),
    "confirmed_until": N_("confirmed until"),
}
_LEFT_OUT = {
    "to": N_("everyone of the supplier"),
    "countries": N_("from anywhere"),
    "budget": N_("no limit"),
    "budgets": N_("one window"),
    "breaker": N_("no limit"),
    "notify_within_hours": N_("not agreed"),
    "retention_days": N_("no end is set"),
    "columns": N_("all of the table"),
    "caseload": N_("anybody's"),
    "table": N_("none: files"),
    "source": N_("in the vault"),
    "networks": N_("not known"),
    "hosts": N_("not known"),
    "confirm_grants_days": N_("never"),
    "confirm_roles_days": N_("never"),
    "confirm_days": N_("as the organisation says"),
    "confirmed_until": N_("need not be"),
}
_SOONER = N_("what it holds longer than that is destroyed, a week from now at the earliest")
_DAYS = ("retention_days", "confirm_grants_days", "confirm_roles_days", "confirm_days")
_COMES = {
    "organisation": N_("The organisation is %(title)s, in %(country)s; its days are those of %(timezone)s."),
    "supplier": N_("%(title)s becomes a supplier, by the name %(name)s."),
    "client": N_("%(name)s becomes a system account of %(supplier)s."),
    "contract": N_("The contract %(name)s with %(supplier)s runs from %(starts)s to %(ends)s."),
    "system": N_("%(title)s becomes a system, by the name %(name)s."),
    "dataset": N_("%(name)s becomes a dataset of %(owner)s: %(classification)s."),
    "grant": N_("%(to)s may have the dataset %(dataset)s for %(purpose)s, under the contract %(contract)s: %(name)s."),
}
_PERSON = N_("%(name)s becomes one of the organisation's people, as %(roles)s.")
_OUTSIDER = N_("%(name)s becomes a person of %(supplier)s, as %(roles)s.")
_SAID = {
    "organisation": ("name", "country", "timezone"),
    "supplier": ("name",),
    "person": ("supplier", "roles", "email"),
    "client": ("supplier",),
    "contract": ("supplier", "starts", "ends"),
    "system": ("name",),
    "dataset": ("owner", "classification"),
    "grant": ("to", "dataset", "purpose", "contract"),
}
"""What the sentence says already."""
_NEW = {
    "supplier": N_("The supplier %(name)s comes in."),
    "person": N_("The person %(name)s comes in."),
    "client": N_("The system account %(name)s comes in."),
    "contract": N_("The contract %(name)s comes in."),
    "system": N_("The system %(name)s comes in."),
    "dataset": N_("The dataset %(name)s comes in."),
    "grant": N_("The grant %(name)s comes in."),
}
"""Where there is so much that no more is told of each."""
_CHANGES = {
    "organisation": N_("The organisation changes."),
    "supplier": N_("The supplier %(name)s changes."),
    "person": N_("The person %(name)s changes."),
    "client": N_("The system account %(name)s changes."),
    "contract": N_("The contract %(name)s changes."),
    "system": N_("The system %(name)s changes."),
    "dataset": N_("The dataset %(name)s changes."),
    "grant": N_("The grant %(name)s changes."),
}
_ENDS = {
    "supplier": N_("The supplier %(name)s ends: nobody of it gets anything any more."),
    "person": N_("The person %(name)s ends, and can no longer sign in."),
    "client": N_("The system account %(name)s ends, and can no longer sign in."),
    "contract": N_("The contract %(name)s ends: nothing under it gives access any more."),
    "system": N_("The system %(name)s ends: no records are looked up there any more."),
    "dataset": N_("The dataset %(name)s ends: nobody gets it any more."),
    "grant": N_("The grant %(name)s ends: nobody gets anything by it any more."),
}
_KEPT = {
    "supplier": N_("The supplier %(name)s stays ended."),
    "person": N_("The person %(name)s stays ended."),
    "client": N_("The system account %(name)s stays ended."),
    "contract": N_("The contract %(name)s stays ended."),
    "system": N_("The system %(name)s stays ended."),
    "dataset": N_("The dataset %(name)s stays ended."),
    "grant": N_("The grant %(name)s stays ended."),
}
_PER = {
    "hour": N_("%(count)s records an hour"),
    "day": N_("%(count)s records a day"),
    "week": N_("%(count)s records a week"),
    "month": N_("%(count)s records a month"),
}
_NAMED: dict[str, Mapping[str, str]] = {
    "tier": wording.TIERS,
    "classification": wording.CLASSES,
    "form": wording.FORMS,
}


class Line(msgspec.Struct, frozen=True):
    """One row of the register. details: what is told beside the sentence."""

    text: str
    details: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """Rows that something happens to. count: how many there are; lines: those that are shown."""

    count: int
    lines: tuple[Line, ...]


class Difference(msgspec.Struct, frozen=True):
    """Everything that a file would change."""

    ends: Group
    changes: Group
    comes: Group
    kept: Group

    @property
    def nothing(self) -> bool:
        """Whether the register would stay as it is."""
        return not (self.ends.count or self.changes.count or self.comes.count)


def difference(words: Words, changes: Sequence[Mapping[str, Any]]) -> Difference:
    """The keeper's answer in words; of each kind of change the first ones, and how many there are."""
    some: dict[str, list[Mapping[str, Any]]] = {}
    for one in changes:
        some.setdefault(str(one["change"]), []).append(one)

    def group(change: str, most: int) -> Group:
        found = some.get(change, [])
        return Group(len(found), tuple(_line(words, one) for one in found[:most]))

    return Difference(
        ends=group(ENDED, ENDS_SHOWN),
        changes=group(CHANGED, SHOWN),
        comes=group(DECLARED, SHOWN),
        kept=group(KEPT_ENDED, SHOWN),
    )


def _line(words: Words, one: Mapping[str, Any]) -> Line:
    kind, fields = str(one["kind"]), one["fields"]
    about = {"name": one["name"]}
    match one["change"]:
        case "declared":
            return _coming(words, kind, str(one["name"]), fields)
        case "changed":
            details = tuple(_changed(words, name, *values) for name, values in fields.items())
            if sooner(one):
                details += (words.gettext(_SOONER),)
            return Line(words.gettext(_CHANGES[kind]) % about, details)
        case "ended":
            return Line(words.gettext(_ENDS[kind]) % about)
        case _:
            since = fields.get("ended", [""])[0]
            return Line(words.gettext(_KEPT[kind]) % about, (str(since),) if since else ())


def _coming(words: Words, kind: str, name: str, fields: Mapping[str, Sequence[Any]]) -> Line:
    if not fields:
        return Line(words.gettext(_NEW[kind]) % {"name": name})
    said = {field: _value(words, field, values[1]) for field, values in fields.items()}
    said = {"to": words.gettext(_LEFT_OUT["to"])} | said
    if kind == "person":
        text = _OUTSIDER if "supplier" in fields else _PERSON
        nothing = wording.role(words, "member") if "supplier" in fields else words.gettext("somebody without a role")
        said["roles"] = said["roles"] if fields["roles"][1] else nothing
    else:
        text = _COMES[kind]
    told = _SAID[kind]
    details = tuple(
        f"{words.gettext(_FIELDS[field])}: {said[field]}"
        for field, values in fields.items()
        if field not in told and values[1] not in (None, [], 0) and not (field == "label" and said[field] == name)
    )
    return Line(words.gettext(text) % (said | {"title": said.get("name", ""), "name": name}), details)


def _changed(words: Words, field: str, before: Any, after: Any) -> str:
    """How one field changes; of lists, what comes into it and what leaves it."""
    if field == "email":
        return words.gettext("another e-mail address, which is not shown")
    label = words.gettext(_FIELDS[field])
    if field != "budgets" and isinstance(before, list) and isinstance(after, list) and before and after:
        added = [one for one in after if one not in before]
        gone = [one for one in before if one not in after]
        parts = []
        if gone:
            parts.append(words.gettext("no longer %(what)s") % {"what": _value(words, field, gone)})
        if added:
            parts.append(words.gettext("now also %(what)s") % {"what": _value(words, field, added)})
        return f"{label}: {'; '.join(parts)}"
    told = {"field": label, "before": _value(words, field, before), "after": _value(words, field, after)}
    return words.gettext("%(field)s: was %(before)s, becomes %(after)s") % told


def _value(words: Words, field: str, value: Any) -> str:
    if value is None or value in ([], ()) or (value == 0 and field in _LEFT_OUT):
        return words.gettext(_LEFT_OUT.get(field, N_("none")))
    if isinstance(value, Mapping):
        return _mapping(words, value)
    if isinstance(value, list | tuple):
        if field == "roles":
            return ", ".join(wording.role(words, str(one)) for one in value)
        return ", ".join(_mapping(words, one) if isinstance(one, Mapping) else str(one) for one in value)
    if field in _DAYS:
        return words.ngettext("%(count)s day", "%(count)s days", value) % {"count": words.number(value)}
    if field == "notify_within_hours":
        return words.ngettext("%(count)s hour", "%(count)s hours", value) % {"count": words.number(value)}
    named = _NAMED.get(field, {}).get(str(value))
    return words.gettext(named) if named else str(value)


def _mapping(words: Words, value: Mapping[str, Any]) -> str:
    """A budget, table, source or caseload."""
    if "records" in value:
        return _budget(words, value)
    if "outside" in value:
        return words.gettext("those of the column %(column)s in %(dataset)s; others: %(outside)s") % value
    if "system" in value:
        return words.gettext("the table %(table)s in the system %(system)s") % value
    return words.gettext("found by %(key)s, with the columns %(columns)s") % value


def _budget(words: Words, value: Mapping[str, Any]) -> str:
    said = words.gettext(_PER[str(value["per"])]) % {"count": words.number(value["records"])}
    about = {"most": words.number(value.get("most", 0)), "every": value.get("every", "")}
    match value.get("then"):
        case "delay":
            past = words.gettext("past it one record each %(every)s, up to %(most)s in all") % about
        case "step-up":
            past = words.gettext("past it for whoever signs in anew, up to %(most)s in all") % about
        case _:
            return said
    return f"{said}; {past}"
