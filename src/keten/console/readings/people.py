"""People: who is in the register, with which roles, and what each can sign in with."""

from __future__ import annotations

import msgspec

from keten.console.readings.desk import Reading
from keten.console.readings.lines import Lines, lines
from keten.console.readings.paging import chosen
from keten.console.readings.supplier import Acting, acting
from keten.core.errors import NotFound
from keten.core.listening import split_bind
from keten.core.settings import LOOPBACK, Listener
from keten.identity import passkeys
from keten.identity.links import usable
from keten.identity.model import Person
from keten.identity.people_model import Link, Passkey
from keten.identity.roles import acts_of, roles_of
from keten.ledger.query import Filter
from keten.suppliers.model import Supplier

PAGE = 50
MOST = 50_000
NEWEST = 25


class PersonLine(msgspec.Struct, frozen=True):
    """A person. supplier: its title, "" for the organisation's own. link_us: until when a link may be used; 0: none."""

    acting: Acting
    roles: tuple[str, ...]
    supplier: str
    supplier_id: str
    keys: int
    link_us: int


class PeopleLines(msgspec.Struct, frozen=True):
    """A page of them; as of `readings.suppliers`. own: how many are the organisation's."""

    at_us: int
    lines: tuple[PersonLine, ...]
    count: int
    all: int
    page: int
    pages: int
    broken: int


class KeyLine(msgspec.Struct, frozen=True):
    """A passkey that has not ended. used_us: 0 for never."""

    name: str
    added_us: int
    used_us: int
    synced: bool


class PersonPage(msgspec.Struct, frozen=True):
    """One person. acts: what it may do. timeline: what it did, and what was done about it."""

    at_us: int
    line: PersonLine
    erased: bool
    acts: tuple[str, ...]
    keys: tuple[KeyLine, ...]
    timeline: Lines
    face_url: str


def read(reading: Reading, wanted: str, page: int) -> PeopleLines:
    """One page: the organisation's own people first, then suppliers', by name.

    1. Names as stored choose which rows are shown.
    2. The rows of the page, each checked against the ledger; what does not hold is counted.
    """
    named = list(reading.rows.called(Person, MOST, "supplier"))  # 1
    outside = {row_id for row_id, _name, supplier in named if supplier}
    on = chosen(
        ((name.casefold(), row_id) for row_id, name, _supplier in named), wanted, page, PAGE, lambda one: one in outside
    )
    ids = on.ids
    found = {one.id: one for one in reading.rows.some(Person, ids)}  # 2
    keys: dict[str, list[Passkey]] = {}
    for key in reading.rows.among(Passkey, "person", ids):
        keys.setdefault(key.person, []).append(key)
    links: dict[str, list[Link]] = {}
    for link in reading.rows.among(Link, "person", ids):
        links.setdefault(link.person, []).append(link)
    made = tuple(_line(reading, found[one], keys.get(one, []), links.get(one, [])) for one in ids if one in found)
    return PeopleLines(reading.at_us, made, on.count, on.all, on.page, on.pages, len(ids) - len(made))


def one(reading: Reading, person_id: str) -> PersonPage:
    """The person with this id. Raises `NotFound` where there is none, or its row does not hold."""
    row = reading.rows.one(Person, person_id)
    if row is None:
        raise NotFound("not-found", "There is no such page.", person_id)
    held = list(reading.rows.all(Passkey, person=row.id))
    keys = tuple(
        KeyLine(key.name, key.added_us, passkeys.uses(reading.connection, key.id)[1], key.synced)
        for key in held
        if key.ended is None
    )
    line = _line(reading, row, held, list(reading.rows.all(Link, person=row.id)))
    newest = Filter(principal=row.id, limit=NEWEST, newest_first=True)
    return PersonPage(
        at_us=reading.at_us,
        line=line,
        erased=bool(row.erased),
        acts=acts_of(line.roles),
        keys=keys,
        timeline=lines(reading.connection, reading.names, newest),
        face_url=portal_url(reading.settings.portal) if row.supplier else "",
    )


def portal_url(portal: Listener) -> str:
    """Where the portal is: by its name, else on this machine, if its settings say so; "": they do not."""
    if portal.public_url or portal.bind in ("", "off"):
        return portal.public_url.rstrip("/")
    host, port = split_bind(portal.bind)
    if host not in LOOPBACK or not port:
        return ""
    return f"{'https' if portal.certificate else 'http'}://localhost:{port}"


def _line(reading: Reading, row: Person, keys: list[Passkey], links: list[Link]) -> PersonLine:
    now = reading.now_us
    return PersonLine(
        acting=acting(row, now),
        roles=roles_of(row, now),
        supplier=reading.names.of(Supplier, row.supplier) if row.supplier else "",
        supplier_id=row.supplier,
        keys=sum(key.ended is None for key in keys),
        link_us=max((link.expires_us for link in links if usable(link, now)), default=0),
    )
