"""What a person signs in with, when the person is erased: nothing is left but that there was something."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, delete

from keten.identity import passkeys, people_entries, people_tables, recovery_entries, to_tell
from keten.identity.model import Ended
from keten.identity.people_model import Link, Passkey
from keten.identity.person_sessions import PersonSessions
from keten.identity.recovery import service as recovery
from keten.identity.recovery import tables as recovery_tables
from keten.identity.recovery.rows import ChannelRow
from keten.identity.rows import ERASED_REASON
from keten.ledger import bound
from keten.ledger.writing import Writing


class Held(msgspec.Struct, frozen=True):
    """Rows of a person that still say something."""

    passkeys: tuple[Passkey, ...] = ()
    links: tuple[Link, ...] = ()
    channels: tuple[ChannelRow, ...] = ()


NOTHING = Held()


def held(connection: Connection, person: str) -> Held:
    """What there is to forget of a person. Raises `Corrupt` ("register-mismatch")."""
    keys = bound.find(connection, people_tables.passkeys, Passkey, person=person)
    links = bound.find(connection, people_tables.links, Link, person=person)
    return Held(
        tuple(one for one in keys if one.known_by),
        tuple(one for one in links if one.hash),
        tuple(one for one in recovery.channel_rows(connection, person) if one.sealed),
    )


def rare(found: Held) -> Iterator[bytes]:
    """What stands in no other place: where it is left in a file, more of the person may be."""
    for passkey in found.passkeys:
        yield passkey.credential.encode()
        yield passkey.public_key.encode()
    for link in found.links:
        yield link.hash.encode()
    for channel in found.channels:
        yield channel.sealed.encode()


def forget(writing: Writing, person: str, actor: str) -> int:
    """Leave of what a person signs in with that it was there; how many rows that were.

    1. Sessions, counters and what it was still to be told go: they are not bound to the ledger.
    2. Passkeys end, without credential, key and name; links without what finds them; channels without their address.
       Each with its entry, which says nothing of what they were.
    """
    found = held(writing.connection, person)
    PersonSessions.remove_of_person(writing, person)  # 1
    to_tell.forget(writing, person)
    uses = people_tables.passkey_uses
    for passkey in passkeys.ever_of_person(writing.connection, person):
        writing.connection.execute(delete(uses).where(uses.c.passkey == passkey.id))
    for passkey in found.passkeys:  # 2
        ended = Ended(passkey.ended.at_us if passkey.ended else writing.time_us, ERASED_REASON, actor)
        left = Passkey(
            id=passkey.id,
            name=passkey.id,
            ended=ended,
            person=person,
            known_by="",
            credential="",
            public_key="",
            rp="",
            synced=False,
            added_us=0,
        )
        kind = people_entries.PASSKEY_ERASED
        writing.rewrite(people_tables.passkeys, left, kind, actor, {"person": person}, {})
    for link in found.links:
        gone = Link(id=link.id, name=link.id, person=person, hash="", purpose=link.purpose, made_us=0, expires_us=0)
        writing.rewrite(people_tables.links, gone, people_entries.LINK_ERASED, actor, {"person": person}, {})
    for channel in found.channels:
        unsaid = ChannelRow(id=channel.id, name=channel.id, person=person, sealed="", since_us=0, ended_us=1)
        kind = recovery_entries.CHANNEL_ERASED
        writing.rewrite(recovery_tables.channels, unsaid, kind, actor, {"person": person}, {})
    return len(found.passkeys) + len(found.links) + len(found.channels)
