"""People of the organisation: whether they can sign in, and whether one lost passkey would lock everybody out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keten.cli.doctor.findings import Case, Finding, note, weak
from keten.core.clock import SECOND, moment
from keten.core.db import translated

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from keten.identity.model import Person

ADMINISTRATORS = 2
KEYS_EACH = 2
SOON_US = 24 * 3600 * SECOND
SHOWN = 5


def staff(case: Case) -> Iterator[Finding]:
    """Staff that has a role and no passkey; administrators that are too few, or have one passkey each."""
    from keten.identity import passkeys

    with translated(), case.engine.connect() as connection:
        if not passkeys.is_kept(connection):
            return
        people = _staff(connection)
        held = {person.id: len(passkeys.of_person(connection, person.id)) for person in people}
    without = sorted(person.name for person in people if not held[person.id])
    if without:
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        lack = "they can confirm nothing" if case.settings.oidc.issuer else "they can't sign in at the console"
        what = f"Without a passkey, so {lack}: {', '.join(without[:SHOWN])}{more}."
        yield note("staff-no-passkey", what, "Make each a one-time link: keten person invite NAME.")
    administrators = [person for person in people if "administrator" in person.roles and held[person.id]]
    if administrators and len(administrators) < ADMINISTRATORS:
        what = f"Only {administrators[0].name} can sign in as administrator: whoever is alone can't be replaced."
        yield weak("administrator-alone", what, "Give a second person the role, and a link.")
    for person in administrators:
        if held[person.id] < KEYS_EACH:
            what = f"The administrator {person.name} has one passkey: if it is lost, there is recovery only."
            yield weak("administrator-one-key", what, "Add another under 'Your passkeys' in the console.")


def links(case: Case) -> Iterator[Finding]:
    """One-time links that nobody has used and that are over soon."""
    from keten.identity import links, passkeys
    from keten.identity.rows import people

    now = time.time_ns() // 1000
    with translated(), case.engine.connect() as connection:
        if not passkeys.is_kept(connection):
            return
        for link in links.open_until(connection, now, now + SOON_US):
            person = people.get(connection, link.person)
            if person is not None and person.ended is None:
                what = f"The link of {person.name} is not used yet, and is over at {moment(link.expires_us)}."
                yield note("link-expires", what, "Tell the person, or make a new one: keten person invite NAME.")


def _staff(connection: Connection) -> list[Person]:
    """The organisation's own people that have a role that counts and have not ended."""
    from keten.identity.roles import roles_of
    from keten.identity.rows import people

    now = time.time_ns() // 1000
    return [one for one in people.find(connection, supplier="") if one.ended is None and roles_of(one, now)]
