"""What is personal, under the key of the person or client that it is about; sealed and opened in one transaction."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from keten.core.db import Prepared
from keten.core.errors import NotFound, Unavailable
from keten.ledger.writing import Writing
from keten.vault.keys import Keys
from keten.vault.tables import subject_keys

_IS = subject_keys.c.subject == bindparam("subject_")
_ERASED = Prepared(select(subject_keys.c.subject).where(_IS, subject_keys.c.wrapped.is_(None)), ["subject_"])


def seal_for(writing: Writing, keys: Keys, subject: str, plain: bytes) -> str:
    """Personal data of one subject under that subject's key, as base64; the key is made when there never was one.

    Raises `NotFound` ("subject-erased") once it was destroyed, `Corrupt` ("key-damaged").
    """
    return keys.seal(subject, made_key(writing, keys, subject), plain)


def made_key(writing: Writing, keys: Keys, subject: str) -> bytes:
    """A subject's key, wrapped; it is made when there never was one. Raises `NotFound` ("subject-erased")."""
    wrapped = subject_key(writing.connection, subject)
    if wrapped is None:
        if subject_erased(writing.connection, subject):
            raise NotFound("subject-erased", "What was known of this subject was erased.", f"subject {subject}")
        wrapped = keys.new_subject_key(subject)
        writing.connection.execute(insert(subject_keys).values(subject=subject, wrapped=wrapped))
    return wrapped


def subject_key(connection: Connection, subject: str) -> bytes | None:
    """A subject's key as stored, wrapped; None when there is none. For `Keys.seal` and `Keys.open`."""
    statement = select(subject_keys.c.wrapped).where(subject_keys.c.subject == subject)
    wrapped = connection.execute(statement).scalar()
    return None if wrapped is None else bytes(wrapped)


def subject_erased(connection: Connection, subject: str) -> bool:
    """Whether a subject's key was destroyed."""
    return bool(_ERASED.rows(connection, (subject,)))


def destroy_subject_key(writing: Writing, keys: Keys, subject: str) -> bool:
    """Destroy a subject's key, for ever, also when there was none yet; whether it had not been destroyed before.

    The caller records it in the same transaction.
    """
    erased = erase_key(writing, subject)
    keys.forget_subject(subject)
    return erased


def erase_key(writing: Writing, subject: str) -> bool:
    """As `destroy_subject_key`, where no keeper runs that could hold the key opened."""
    if subject_erased(writing.connection, subject):
        return False
    row = subject_keys.c.subject == subject
    if writing.connection.execute(update(subject_keys).where(row).values(wrapped=None)).rowcount == 0:
        writing.connection.execute(insert(subject_keys).values(subject=subject, wrapped=None))
    return True


def open_for(connection: Connection, keys: Keys, subject: str, sealed: str) -> bytes:
    """What `seal_for` sealed. Raises `NotFound` ("subject-key-missing"), `Corrupt` (key-damaged, personal-damaged)."""
    wrapped = subject_key(connection, subject)
    if wrapped is None:
        raise NotFound("subject-key-missing", "The key of this personal data is gone.", f"subject {subject}")
    return keys.open(subject, wrapped, sealed)


class Seals:
    """Subject keys as one transaction sees them. Without a `writing` it can only open."""

    def __init__(self, keys: Keys, connection: Connection, writing: Writing | None = None) -> None:
        self._keys = keys
        self._connection = connection
        self._writing = writing

    @classmethod
    def of(cls, keys: Keys, writing: Writing) -> Seals:
        """For the writer's transaction: seals as well."""
        return cls(keys, writing.connection, writing)

    def seal_for(self, subject: str, data: bytes) -> str:
        """`data` under the subject's key, as base64; the key is made when there is none."""
        if self._writing is None:
            raise Unavailable("read-only", "Nothing can be sealed while only reading.")
        return seal_for(self._writing, self._keys, subject, data)

    def make_key(self, subject: str) -> None:
        """Give a subject its key, unless it has one: a backup then has of it only what goes with the key."""
        if self._writing is None:
            raise Unavailable("read-only", "No key can be made while only reading.")
        made_key(self._writing, self._keys, subject)

    def fingerprint(self, word: str, name: str) -> str:
        """What is kept of the name of an erased row of a kind."""
        return self._keys.fingerprint(word, name)

    def open_for(self, subject: str, sealed: str) -> bytes:
        """What `seal_for` sealed. `NotFound` when the subject's key was destroyed."""
        return open_for(self._connection, self._keys, subject, sealed)
