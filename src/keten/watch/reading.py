"""From an entry of the ledger to what the watch looks at. Pure and total: any entry gives an event or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keten.exchange import entries as door
from keten.identity import signin_entries as signing
from keten.ledger.model import Payload
from keten.watch.entries import FLOWS_SEEN
from keten.watch.model import MOST_LINKS, Event, Link, What

MOST = 2**53
"""No number of an entry, a time in microseconds neither, is larger: what is, is damage, and counts as not known."""
LONGEST = 200
MOST_REASONS = 16
MOST_WINDOWS = 8
LONG = frozenset({"week", "month"})


def event_of(index: int, id: str, time_us: int, kind: str, payload: Payload | None) -> Event | None:
    """The event that an entry is about; None when it is none that the watch looks at, or was erased.

    index, id, time_us, kind: of the entry. What is missing or damaged in its payload is "not known" in the event.
    """
    read = _READERS.get(kind)
    if read is None or payload is None:
        return None
    return read(_Entry(index, id, time_us, payload))


class _Entry:
    """An entry being read."""

    __slots__ = ("actor", "details", "id", "index", "refs", "subjects", "time_us")

    def __init__(self, index: int, id: str, time_us: int, payload: Payload) -> None:
        self.index = index
        self.id = id
        self.time_us = time_us
        self.actor = _principal(payload.actor)
        self.subjects = _texts(payload.subjects)
        self.details = _mapping(payload.details)
        self.refs = _mapping(payload.refs)


def _signed_in(entry: _Entry) -> Event:
    details = entry.details
    return Event(
        index=entry.index,
        id=entry.id,
        time_us=entry.time_us,
        what="sign-in",
        allowed=True,
        principal=entry.actor,
        supplier=_text(entry.refs.get("supplier")),
        network=_text(details.get("network")),
        listed=details.get("listed") is True,
        channel=_CHANNELS.get(_text(details.get("method")), ""),
        key=_text(details.get("key")),
    )


def _client_refused(entry: _Entry) -> Event:
    """Refused in somebody's name, who need not know of it."""
    details, subjects = entry.details, entry.subjects
    return Event(
        index=entry.index,
        id=entry.id,
        time_us=entry.time_us,
        what="sign-in",
        allowed=False,
        principal=subjects[0] if subjects else "",
        reasons=_texts(details.get("reasons")),
        count=max(1, _number(details.get("count"))),
        network=_text(details.get("network")),
        listed=details.get("listed") is True,
        channel=_CHANNELS.get(_text(details.get("method")), ""),
    )


def _strangers(entry: _Entry) -> Event:
    details = entry.details
    return Event(
        index=entry.index,
        id=entry.id,
        time_us=entry.time_us,
        what="sign-in",
        allowed=False,
        principal="",
        reasons=("client-unknown",),
        count=max(1, _number(details.get("count"))),
        network=_text(details.get("pseudonym")),
    )


def _access(what: What) -> Callable[[_Entry], Event]:
    def read(entry: _Entry) -> Event:
        details, refs = entry.details, entry.refs
        attributes = _mapping(details.get("attributes"))
        used_day, used_long = _used(details.get("used"))
        return Event(
            index=entry.index,
            id=entry.id,
            time_us=entry.time_us,
            what=what,
            allowed=details.get("outcome") == "allow",
            principal=entry.actor,
            supplier=_text(refs.get("supplier") or attributes.get("supplier")),
            dataset=_text(refs.get("dataset")),
            grant=_text(refs.get("grant")),
            contract=_text(refs.get("contract")),
            purpose=_text(attributes.get("purpose")),
            object=_text(refs.get("object")),
            reasons=_texts(details.get("reasons")),
            records=_number(details.get("charged")),
            asked=_number(details.get("asked")),
            missed=_number(details.get("missed")),
            near=_number(details.get("near")),
            outside=_number(details.get("outside")),
            bytes=_number(details.get("bytes")),
            length=_number(details.get("length")),
            count=max(1, _number(details.get("count"))),
            country=_text(attributes.get("country") or details.get("country")),
            network=_text(details.get("network")),
            listed=details.get("listed") is True,
            channel=_text(details.get("channel")),
            dataset_records=_number(details.get("records")),
            contract_ends_us=_number(attributes.get("contract_ends_us")),
            used_day=used_day,
            used_long=used_long,
        )

    return read


def _delivered(entry: _Entry) -> Event:
    details, refs = entry.details, entry.refs
    return Event(
        index=entry.index,
        id=entry.id,
        time_us=entry.time_us,
        what="delivered",
        allowed=True,
        principal=entry.actor,
        supplier=_text(refs.get("supplier")),
        dataset=_text(refs.get("dataset")),
        grant=_text(refs.get("grant")),
        contract=_text(refs.get("contract")),
        object=_text(refs.get("object")),
        bytes=_number(details["bytes"] if "bytes" in details else details.get("at_most")),
        opening=_text(details.get("opening")),
    )


def _flows(entry: _Entry) -> Event:
    details = entry.details
    links = details.get("links")
    return Event(
        index=entry.index,
        id=entry.id,
        time_us=entry.time_us,
        what="flow",
        allowed=True,
        principal="",
        supplier=_text(entry.refs.get("supplier")),
        bytes=_number(details.get("bytes")),
        count=max(1, _number(details.get("count"))),
        day=_number(details.get("day_number")),
        links=tuple(_link(_mapping(one)) for one in links[:MOST_LINKS]) if isinstance(links, list | tuple) else (),
    )


def _link(found: Mapping[str, object]) -> Link:
    return Link(
        _text(found.get("target")),
        _text(found.get("outside")),
        _text(found.get("inside")),
        _number(found.get("bytes")),
        _number(found.get("flows")),
        _number(found.get("unsized")),
    )


_CHANNELS = {"private_key_jwt": "https", "token": "https", "ssh": "sftp", "session": "sftp"}
_READERS: Mapping[str, Callable[[_Entry], Event]] = {
    signing.SIGNED_IN.name: _signed_in,
    signing.CLIENT_REFUSED.name: _client_refused,
    signing.STRANGERS_REFUSED.name: _strangers,
    door.SHARES_LISTED.name: _access("list"),
    door.OBJECT_DESCRIBED.name: _access("describe"),
    door.OBJECT_OPENED.name: _access("open"),
    door.OBJECT_REFUSED.name: _access("open"),
    door.OBJECT_DELIVERED.name: _delivered,
    door.LOOKUP_ANSWERED.name: _access("lookup"),
    door.LOOKUP_REFUSED.name: _access("lookup"),
    FLOWS_SEEN.name: _flows,
}


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MOST else 0


def _used(value: object) -> tuple[int, int]:
    """The fullest of the short windows and of the long ones, in thousandths; 0 where there is none."""
    fullest = [0, 0]
    for one in value[:MOST_WINDOWS] if isinstance(value, list | tuple) else ():
        if not isinstance(one, list | tuple) or len(one) != 3:
            continue
        per, spent, records = _text(one[0]), _number(one[1]), _number(one[2])
        if records and per:
            place = per in LONG
            fullest[place] = max(fullest[place], min(1000, 1000 * spent // records))
    return fullest[0], fullest[1]


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST else ""


def _principal(actor: object) -> str:
    """What the keeper or an operator did is no principal's conduct."""
    text = _text(actor)
    return "" if text == "keeper" or text.startswith("operator:") else text


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(text for each in value[:MOST_REASONS] if (text := _text(each)))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
