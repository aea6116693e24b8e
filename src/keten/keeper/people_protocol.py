"""What faces say about people: on the console's socket for the organisation's own, on the gateway's for suppliers'.

A face passes on what a browser showed and holds nothing: the keeper makes challenges, verifies assertions, and knows
the sessions. `browser` is the SHA-256 (hex) of what tells one browser from another to the face; a session is bound to
the one that opened it. Times are microseconds since 1970 UTC. Options and responses are the JSON of WebAuthn Level 3
(`PublicKeyCredential.toJSON`, `parseCreationOptionsFromJSON`, `parseRequestOptionsFromJSON`), as text.
"""

from __future__ import annotations

import msgspec


class PersonProof(msgspec.Struct, frozen=True, gc=False):
    """A person's session, as the browser's cookie has it."""

    session: str
    browser: str


class Origin(msgspec.Struct, frozen=True):
    """First thing that a face says about people: what browsers call it. url: as `https://host[:port]`."""

    url: str


class Ceremony(msgspec.Struct, frozen=True):
    """A passkey ceremony that was begun: its single-use name, the browser's options, until when it may be finished."""

    id: str
    options: str
    expires_us: int


class Finished(msgspec.Struct, frozen=True):
    """What the browser's authenticator said. response: JSON."""

    ceremony: str
    response: str
    address: str
    browser: str


class SignInBegin(msgspec.Struct, frozen=True):
    """Whoever it is wants to sign in: nobody is named, the passkey says who. Answer: `Ceremony`."""

    address: str
    browser: str


class EnrolBegin(msgspec.Struct, frozen=True):
    """A one-time link was opened. token: its secret part. Answer: `Enrolment`."""

    token: str
    address: str
    browser: str


class Enrolment(msgspec.Struct, frozen=True):
    """For whom the link is, and the ceremony that makes the passkey."""

    name: str
    organisation: str
    ceremony: Ceremony


class AddKeyBegin(msgspec.Struct, frozen=True):
    """A signed-in person wants one more passkey; takes a recent assertion. Answer: `Ceremony`."""

    proof: PersonProof


class PersonView(msgspec.Struct, frozen=True):
    """A signed-in person as a face shows it. acts: what it may do (`identity/roles.py`)."""

    id: str
    name: str
    supplier: str
    supplier_name: str
    organisation: str
    roles: tuple[str, ...]
    acts: tuple[str, ...]


class SessionOpened(msgspec.Struct, frozen=True):
    """The new session: its secret (for the cookie, nowhere kept), and when it ends at the latest."""

    session: str
    expires_us: int
    person: PersonView


class Authorise(msgspec.Struct, frozen=True):
    """May this person do this now? Answer: `Authorised`, or `Denied`. quiet: a page that refreshes itself asks."""

    proof: PersonProof
    act: str
    quiet: bool = False


class Authorised(msgspec.Struct, frozen=True):
    """Yes. idle_us, expires_us: when the session ends if nothing more is done, and at the latest."""

    person: PersonView
    idle_us: int
    expires_us: int


class SignOut(msgspec.Struct, frozen=True):
    """End one's own session, or another of one's own by the public id that the list shows ("": this one).

    others: every one but this. Another one than this takes a recent sign-in or assertion.
    """

    proof: PersonProof
    which: str = ""
    others: bool = False


class OwnKeys(msgspec.Struct, frozen=True):
    """One's own passkeys and sessions. Answer: `Own`."""

    proof: PersonProof


class KeyLine(msgspec.Struct, frozen=True):
    """A passkey: its public id here, its name, since when, when it was last used, whether it is synchronised."""

    id: str
    name: str
    added_us: int
    used_us: int
    synced: bool


class SessionLine(msgspec.Struct, frozen=True):
    """An open session: its public id (not its secret), since when, last used, the network, whether it is this one."""

    id: str
    began_us: int
    used_us: int
    network: str
    this: bool


class Own(msgspec.Struct, frozen=True):
    """What a person has."""

    keys: tuple[KeyLine, ...]
    sessions: tuple[SessionLine, ...]


class EndKey(msgspec.Struct, frozen=True):
    """End one of one's own passkeys by its public id; takes a recent sign-in or assertion. The last can't be ended."""

    proof: PersonProof
    key: str


class StepUpBegin(msgspec.Struct, frozen=True):
    """Before a dangerous act: a ceremony whose challenge is bound to SHA-256(verb, 0, body). Answer: `Ceremony`."""

    proof: PersonProof
    verb: str
    body: bytes


class Do(msgspec.Struct, frozen=True):
    """A verb of the operators' socket, by a person. The answer is that verb's own.

    body: the verb's body as MessagePack. finished: of `StepUpBegin` for the very same verb and body, for acts that
    take a fresh assertion.
    """

    proof: PersonProof
    verb: str
    body: bytes
    finished: Finished | None = None


class Invite(msgspec.Struct, frozen=True):
    """A one-time link for a person without a passkey, by name or id. An operator's verb, and an act: `Invited`."""

    person: str
    hours: int = 72


class Invited(msgspec.Struct, frozen=True):
    """The link's secret, once. It goes to the person alone; the register keeps its hash."""

    person: str
    token: str
    expires_us: int
    entry: str


class AskPeople(msgspec.Struct, frozen=True):
    """Operators ask: who is there. Answer: `PersonLines`."""


class PersonLine(msgspec.Struct, frozen=True):
    """A person of the register. supplier: its name, "" for the organisation's own; keys, sessions: how many."""

    id: str
    name: str
    supplier: str
    roles: tuple[str, ...]
    keys: int
    sessions: int
    ended: bool


class PersonLines(msgspec.Struct, frozen=True):
    """People, at most `MOST_PEOPLE`; cut: there are more."""

    people: tuple[PersonLine, ...]
    cut: bool = False


class OfPerson(msgspec.Struct, frozen=True):
    """Operators ask about one person, by name or id."""

    person: str


class PersonSessionList(msgspec.Struct, frozen=True):
    """A person's passkeys and open sessions."""

    person: str
    own: Own


class SignedOut(msgspec.Struct, frozen=True):
    """So many sessions were ended; entry: that says so, "" where there was none."""

    person: str
    count: int
    entry: str


MOST_PEOPLE = 10_000


class Done(msgspec.Struct, frozen=True):
    """An empty answer: it is done."""


FACE_VERBS: dict[str, tuple[type, type]] = {
    "people.origin": (Origin, Done),
    "people.sign_in_begin": (SignInBegin, Ceremony),
    "people.sign_in": (Finished, SessionOpened),
    "people.enrol_begin": (EnrolBegin, Enrolment),
    "people.enrol": (Finished, SessionOpened),
    "people.authorise": (Authorise, Authorised),
    "people.sign_out": (SignOut, Done),
    "people.own": (OwnKeys, Own),
    "people.add_key_begin": (AddKeyBegin, Ceremony),
    "people.add_key": (Finished, Done),
    "people.end_key": (EndKey, Done),
    "people.step_up_begin": (StepUpBegin, Ceremony),
    "people.do": (Do, Done),
}
"""What faces say; the answer of `people.do` is that of the verb in it."""
PERSON_VERBS: dict[str, tuple[type, type]] = {
    "people.list": (AskPeople, PersonLines),
    "people.invite": (Invite, Invited),
    "people.sessions": (OfPerson, PersonSessionList),
    "people.sign_out_all": (OfPerson, SignedOut),
}
"""What operators say."""
