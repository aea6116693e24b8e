"""One-time links with which a person makes a passkey: a random secret that is shown once and kept as a hash (law 9)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, select

from keten.core.clock import SECOND
from keten.core.errors import Corrupt, Invalid
from keten.core.ids import is_id, new_id
from keten.identity import people_entries, people_tables
from keten.identity.errors import Refused
from keten.identity.people_model import Link, Purpose
from keten.ledger import bound
from keten.ledger.writing import Writing

HOURS = range(1, 24 * 14 + 1)
_HOUR_US = 3600 * SECOND


def make(writing: Writing, person: str, purpose: Purpose, hours: int, actor: str) -> tuple[str, Link, int]:
    """A new link for a person: its secret part, its row, the entry's index. Older unused ones of the person lapse.

    Raises `Invalid` ("hours").
    """
    if hours not in HOURS:
        raise Invalid("hours", f"A link holds for {HOURS[0]} to {HOURS[-1]} hours.")
    for older in of_person(writing.connection, person):
        if usable(older, writing.time_us):
            spent = msgspec.structs.replace(older, expires_us=writing.time_us)
            _write(writing, older, spent, actor)
    token = new_id()
    link = Link(
        id=new_id(),
        name=purpose,
        person=person,
        hash=_hash(token),
        purpose=purpose,
        made_us=writing.time_us,
        expires_us=writing.time_us + hours * _HOUR_US,
    )
    table, kind = people_tables.links, people_entries.LINK_MADE
    return token, link, writing.write(table, None, link, kind, actor, (person,), {"person": person})


def find(connection: Connection, token: str, now_us: int) -> Link:
    """The link with this secret part that may be used now. Raises `Refused` ("link-invalid"), whatever is wrong."""
    if not is_id(token):
        raise Refused("link-invalid", "it has not the shape of a link")
    found = bound.find(connection, people_tables.links, Link, hash=_hash(token))
    if not found:
        raise Refused("link-invalid", "there is no such link")
    link = found[0]
    if link.used_us:
        raise Refused("link-invalid", "it was used before", cause="link-used", client_id=link.person)
    if now_us >= link.expires_us:
        raise Refused("link-invalid", "it is over", cause="link-expired", client_id=link.person)
    return link


def use(writing: Writing, link_id: str, actor: str) -> Link:
    """Use a link up, in the transaction of what it gives. Raises as `find`: somebody else may have been first."""
    link = bound.get(writing.connection, people_tables.links, Link, link_id)
    if link is None or not usable(link, writing.time_us):
        person = link.person if link else ""
        raise Refused("link-invalid", "it was used or replaced meanwhile", cause="link-used", client_id=person)
    used = msgspec.structs.replace(link, used_us=writing.time_us)
    _write(writing, link, used, actor)
    return used


def lapse_all(writing: Writing, actor: str, wrong: Callable[[Corrupt], None]) -> int:
    """Take back every link that could be used still; how many. wrong: is told of a row that does not hold."""
    table = people_tables.links
    ids = writing.connection.execute(select(table.c.id).order_by(table.c.id)).scalars().all()
    lapsed = 0
    for link_id in ids:
        try:
            link = bound.get(writing.connection, table, Link, link_id)
        except Corrupt as error:
            wrong(error)
            continue
        if link is not None and usable(link, writing.time_us):
            _write(writing, link, msgspec.structs.replace(link, expires_us=writing.time_us), actor)
            lapsed += 1
    return lapsed


def open_until(connection: Connection, now_us: int, until_us: int) -> list[Link]:
    """Links that could be used now and are over before a moment, the next to end first."""
    table = people_tables.links
    ids = connection.execute(select(table.c.id)).scalars().all()
    found = [bound.get(connection, table, Link, each) for each in ids]
    chosen = [one for one in found if one is not None and usable(one, now_us) and one.expires_us < until_us]
    return sorted(chosen, key=lambda one: one.expires_us)


def usable(link: Link, now_us: int) -> bool:
    """Whether it was not used and is not over."""
    return not link.used_us and now_us < link.expires_us


def of_person(connection: Connection, person: str) -> list[Link]:
    """All links of a person, used or not."""
    return bound.find(connection, people_tables.links, Link, person=person)


def _write(writing: Writing, before: Link, after: Link, actor: str) -> None:
    kind = people_entries.LINK_USED if after.used_us else people_entries.LINK_LAPSED
    refs = {"person": after.person}
    writing.write(people_tables.links, before, after, kind, actor, (after.person,), refs)


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
