"""Sessions of people: 128-bit secrets of which only the hash is kept, here and in the database.

Idle and absolute limits are those of NIST SP 800-63B-4 (section 2.2.3 and 2.3.3): 24 hours and 1 hour at AAL2, 12 hours
and 15 minutes at AAL3, which those have who can change the organisation's own access.
"""

from __future__ import annotations

import hmac
import logging
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from keten.core.clock import SECOND
from keten.core.ids import is_id, new_id
from keten.identity.errors import Refused
from keten.identity.people_model import PersonSession
from keten.identity.people_tables import person_sessions
from keten.identity.roles import Face
from keten.ledger.writing import Writing

log = logging.getLogger(__name__)
PURPOSE = "person-sessions"
"""What the key that seals their rows is derived for."""
MINUTE_US = 60 * SECOND
HOUR_US = 60 * MINUTE_US
STRICT = frozenset({"administrator", "security-officer", "privacy-officer"})
MAX_OF_PERSON = 20
NOTED_US = MINUTE_US
"""So old may be what the database says of when a session was last used: after a restart it may end so much earlier."""


def limits_of(roles: tuple[str, ...]) -> tuple[int, int]:
    """How long a session of somebody with these roles may lie still, and how long it lasts at most (microseconds)."""
    if STRICT.intersection(roles):
        return 15 * MINUTE_US, 12 * HOUR_US
    return HOUR_US, 24 * HOUR_US


class PersonSessions:
    """Open sessions. In memory what the database has; used in the event loop, except what takes a `Writing`.

    A change goes to the database first: `open` after `insert` is durable, `close` before `remove`, so that whoever was
    signed out stays out. key: 32 bytes that only the keeper has; with it each row is sealed.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._by_hash: dict[str, PersonSession] = {}
        self._noted: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def load(self, connection: Connection, now_us: int) -> None:
        """What a former keeper left open. A row that it did not seal is none of it, and said (law 4)."""
        for row in connection.execute(select(person_sessions)).mappings():
            values = {str(name): value for name, value in row.items()}  # SQLAlchemy's own kind of string otherwise
            seal = values.pop("seal")
            try:
                session = msgspec.convert(values, PersonSession)
            except msgspec.ValidationError:
                session = None
            if session is None or not isinstance(seal, bytes) or not hmac.compare_digest(seal, self._seal(session)):
                log.critical("a session in the database was not written by this keeper: it does not count")
            elif not session.over_at(now_us):
                self._keep(session)

    def _seal(self, session: PersonSession) -> bytes:
        """HMAC-SHA256 over all that is kept of a session."""
        return hmac.digest(self._key, msgspec.json.encode(session), "sha256")

    def _keep(self, session: PersonSession) -> None:
        self._by_hash[session.hash] = session
        self._noted[session.hash] = session.used_us

    # ---- one session ---------------------------------------------------------------------------------------------

    @staticmethod
    def make(
        person: str, passkey: str, face: Face, browser: str, network: str, roles: tuple[str, ...], now_us: int
    ) -> tuple[str, PersonSession]:
        """A new session that is not open yet: its secret, and itself. passkey "": the provider vouched."""
        secret = new_id()
        idle, most = limits_of(roles)
        return secret, PersonSession(
            hash=hash_of(secret),
            id=new_id(),
            person=person,
            passkey=passkey,
            face=face,
            browser=browser,
            network=network,
            began_us=now_us,
            asserted_us=now_us if passkey else 0,
            used_us=now_us,
            idle_us=idle,
            expires_us=now_us + most,
        )

    def open(self, session: PersonSession) -> None:
        """It is in the database: from now on it counts."""
        self._keep(session)

    def get(self, secret: str, face: Face, browser: str, now_us: int) -> PersonSession:
        """The session with this secret, at the face and of the browser that opened it, and not over.

        Raises `Refused` ("session-ended"), whatever is wrong.
        """
        session = self._by_hash.get(hash_of(secret)) if is_id(secret) else None
        if session is None:
            raise Refused("session-ended", "there is no such session")
        if session.face != face or session.browser != browser:
            public = "it is of another face or browser"
            raise Refused("session-ended", public, cause="session-elsewhere", client_id=session.person)
        if session.over_at(now_us):
            raise Refused("session-ended", "it is over", client_id=session.person, proven=True)
        return session

    def touch(self, session: PersonSession, now_us: int, *, asserted: bool = False) -> bool:
        """It was used now; whether the database should know. asserted: with a passkey."""
        asserted_us = now_us if asserted else session.asserted_us
        used = msgspec.structs.replace(session, used_us=max(now_us, session.used_us), asserted_us=asserted_us)
        if session.hash not in self._by_hash:
            return False  # ended while its request was under way
        self._by_hash[session.hash] = used
        if not asserted and now_us - self._noted[session.hash] < NOTED_US:
            return False
        self._noted[session.hash] = now_us
        return True

    def now(self, session: PersonSession) -> PersonSession | None:
        """As it is now; None when it has ended."""
        return self._by_hash.get(session.hash)

    def close(self, session: PersonSession) -> None:
        """It does not count any more."""
        self._by_hash.pop(session.hash, None)
        self._noted.pop(session.hash, None)

    # ---- many ------------------------------------------------------------------------------------------------------

    def of_person(self, person: str) -> tuple[PersonSession, ...]:
        """A person's sessions, oldest first."""
        found = [session for session in self._by_hash.values() if session.person == person]
        return tuple(sorted(found, key=lambda session: session.began_us))

    def of_browser(self, face: Face, browser: str) -> tuple[PersonSession, ...]:
        """What is open at a face in one browser, whoever's it is."""
        return tuple(one for one in self._by_hash.values() if one.browser == browser and one.face == face)

    def all(self) -> tuple[PersonSession, ...]:
        """Every one."""
        return tuple(self._by_hash.values())

    # ---- in the writer's transaction --------------------------------------------------------------------------------

    def insert(self, writing: Writing, session: PersonSession) -> None:
        """Write a new session."""
        values = msgspec.structs.asdict(session) | {"seal": self._seal(session)}
        writing.connection.execute(insert(person_sessions).values(values))

    def note(self, writing: Writing, session: PersonSession) -> None:
        """Write when it was used and asserted last."""
        changed = update(person_sessions).where(person_sessions.c.hash == session.hash)
        values = {"used_us": session.used_us, "asserted_us": session.asserted_us, "seal": self._seal(session)}
        writing.connection.execute(changed.values(values))

    @staticmethod
    def remove(writing: Writing, sessions: tuple[PersonSession, ...]) -> None:
        """Write that these are no more."""
        hashes = [session.hash for session in sessions]
        writing.connection.execute(delete(person_sessions).where(person_sessions.c.hash.in_(hashes)))

    @staticmethod
    def there(writing: Writing, session: PersonSession) -> bool:
        """Whether it is there still, as this transaction sees it."""
        chosen = select(person_sessions.c.id).where(person_sessions.c.hash == session.hash)
        return writing.connection.execute(chosen).first() is not None

    @staticmethod
    def remove_all(writing: Writing) -> None:
        """Write that there are none."""
        writing.connection.execute(delete(person_sessions))

    @staticmethod
    def remove_of_person(writing: Writing, person: str) -> None:
        """Write that a person has none any more."""
        writing.connection.execute(delete(person_sessions).where(person_sessions.c.person == person))

    @staticmethod
    def remove_of_passkey(writing: Writing, passkey: str) -> tuple[str, ...]:
        """Write that what was opened with a passkey is no more; the public ids of it."""
        chosen = person_sessions.c.passkey == passkey
        found = writing.connection.execute(select(person_sessions.c.id).where(chosen)).scalars().all()
        writing.connection.execute(delete(person_sessions).where(chosen))
        return tuple(found)


def hash_of(secret: str) -> str:
    """What is kept of a session's secret."""
    return sha256(secret.encode()).hexdigest()
