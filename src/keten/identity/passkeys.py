"""Passkeys: what a browser is asked for, what it answers checked (library `webauthn`), and the rows.

Passkeys are discoverable and verify their user; attestation is not asked for. The counter is compared here and not by
the library: only then a copied authenticator, whose signature holds, is told from somebody who makes things up.
"""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec
import webauthn
from sqlalchemy import Connection, delete, insert, inspect, select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from keten.core.clock import rfc3339
from keten.core.ids import decode_id, new_id
from keten.identity import people_entries, people_tables, tables, to_tell
from keten.identity.errors import Refused
from keten.identity.model import Ended
from keten.identity.people_model import Passkey
from keten.ledger import bound
from keten.ledger.writing import Writing

MAX_RESPONSE = 64 * 1024
"""Characters of what a browser sends; an attestation with its certificates is a tenth of it."""
MAX_KEYS = 20
"""Passkeys of one person that have not ended."""
_PATIENCE_MS = 300_000
_UV = UserVerificationRequirement.REQUIRED
_MOST_COUNT = 2**32 - 1


class Relying(msgspec.Struct, frozen=True):
    """Whom a passkey is for: the relying party's id (a host), its origin, and what the browser shows as its name."""

    id: str
    origin: str
    name: str


class Made(msgspec.Struct, frozen=True):
    """A new passkey as an authenticator made it; credential id and COSE key in base64url."""

    credential: str
    public_key: str
    counter: int
    synced: bool


class Shown(msgspec.Struct, frozen=True):
    """An assertion that holds: by this passkey, with its counter."""

    passkey: Passkey
    counter: int


class _ClientData(msgspec.Struct):
    """The parts of clientDataJSON that the library does not look at."""

    crossOrigin: bool = False  # noqa: N815  # WebAuthn's own name
    topOrigin: str = ""  # noqa: N815


class _Response(msgspec.Struct):
    clientDataJSON: str  # noqa: N815
    userHandle: str | None = None  # noqa: N815


class _Credential(msgspec.Struct):
    id: str
    response: _Response


def creation_options(relying: Relying, person: str, name: str, challenge: bytes, held: tuple[Passkey, ...]) -> str:
    """The browser's options for a new passkey, as JSON. person: random id. held: those it has already."""
    return options_to_json(
        webauthn.generate_registration_options(
            rp_id=relying.id,
            rp_name=relying.name,
            user_name=name,
            user_display_name=name,
            user_id=decode_id(person),
            challenge=challenge,
            timeout=_PATIENCE_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, require_resident_key=True, user_verification=_UV
            ),
            exclude_credentials=_described(held),
        )
    )


def request_options(relying: Relying, challenge: bytes, only: tuple[Passkey, ...] = ()) -> str:
    """The browser's options for an assertion, as JSON. only: one of these passkeys; empty: any, so nobody is named."""
    return options_to_json(
        webauthn.generate_authentication_options(
            rp_id=relying.id,
            challenge=challenge,
            timeout=_PATIENCE_MS,
            allow_credentials=_described(only),
            user_verification=_UV,
        )
    )


def check_creation(response: str, relying: Relying, challenge: bytes) -> Made:
    """A new passkey from what a browser says.

    1. It is the JSON of a credential, and of no more than `MAX_RESPONSE` characters.
    2. It was not made inside a page of somebody else.
    3. Challenge, origin, relying party, presence and verification of the user (WebAuthn Level 3 §7.1).

    Raises `Refused` ("passkey-invalid").
    """
    _parsed(response)  # 1, 2
    try:
        verified = webauthn.verify_registration_response(  # 3
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=relying.id,
            expected_origin=relying.origin,
            require_user_verification=True,
        )
    except Exception as error:  # whatever a hostile response makes of the library, it is not a passkey
        raise _invalid(f"{type(error).__name__}: {error}") from error
    return Made(
        bytes_to_base64url(verified.credential_id),
        bytes_to_base64url(verified.credential_public_key),
        verified.sign_count,
        verified.credential_device_type.value == "multi_device",
    )


def credential_of(response: str) -> str:
    """Which credential an assertion says it is of: SHA-256 (hex) of its id. Raises `Refused` ("passkey-invalid")."""
    try:
        return known_by(base64url_to_bytes(_parsed(response).id))
    except ValueError as error:
        raise _invalid("the credential id is not base64url") from error


def check_assertion(response: str, relying: Relying, challenge: bytes, passkey: Passkey, counter: int) -> Shown:
    """An assertion by this passkey.

    1. It is the JSON of a credential; it was not made inside a page of somebody else.
    2. It names the person whose passkey it is (the user handle).
    3. Challenge, origin, relying party, presence and verification of the user, signature (§7.2).
    4. Its counter went on since it was last seen, where it has one: else there are two of it.

    counter: as last seen. Raises `Refused` ("passkey-invalid"; cause "passkey-copied" for step 4).
    """
    parsed = _parsed(response)  # 1
    if _handle(parsed) != decode_id(passkey.person):  # 2
        raise _invalid("the user handle is not the passkey's person", passkey.person)
    try:
        verified = webauthn.verify_authentication_response(  # 3
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=relying.id,
            expected_origin=relying.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:  # as in `check_creation`
        raise _invalid(f"{type(error).__name__}: {error}", passkey.person) from error
    _require_on(passkey, verified.new_sign_count, counter)  # 4
    return Shown(passkey, verified.new_sign_count)


def _parsed(response: str) -> _Credential:
    if len(response) > MAX_RESPONSE:
        raise _invalid("it is too long")
    try:
        parsed = msgspec.json.decode(response, type=_Credential)
        inner = msgspec.json.decode(base64url_to_bytes(parsed.response.clientDataJSON), type=_ClientData)
        json.loads(response)  # the library reads it with this: what it can't must not reach it
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _invalid("it is not the JSON of a credential") from error
    if inner.crossOrigin or inner.topOrigin:
        raise _invalid("it was made inside a page of somebody else")
    return parsed


def _handle(parsed: _Credential) -> bytes:
    try:
        return base64url_to_bytes(parsed.response.userHandle or "")
    except ValueError:
        return b""


def _invalid(reason: str, person: str = "") -> Refused:
    return Refused("passkey-invalid", reason[:300], client_id=person)


def _described(held: tuple[Passkey, ...]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential)) for one in held]


# ---- rows ----------------------------------------------------------------------------------------------------------


def known_by(credential: bytes) -> str:
    """What a credential id is found by."""
    return sha256(credential).hexdigest()


def find(connection: Connection, hashed: str) -> Passkey | None:
    """The passkey with this `known_by`, ended or not. Raises `Corrupt` ("register-mismatch")."""
    found = bound.find(connection, people_tables.passkeys, Passkey, known_by=hashed)
    return found[0] if found else None


def is_kept(connection: Connection) -> bool:
    """Whether this database has passkeys: one of an older version that was not upgraded has none."""
    return inspect(connection).has_table(people_tables.passkeys.name)


def any_there(connection: Connection) -> bool:
    """Whether anybody ever made one. Not checked against the ledger."""
    return connection.execute(select(people_tables.passkeys.c.id).limit(1)).first() is not None


def get(connection: Connection, passkey_id: str) -> Passkey | None:
    """The passkey with this random id, ended or not."""
    return bound.get(connection, people_tables.passkeys, Passkey, passkey_id)


def of_person(connection: Connection, person: str) -> tuple[Passkey, ...]:
    """A person's passkeys that have not ended."""
    return tuple(one for one in ever_of_person(connection, person) if one.ended is None)


def ever_of_person(connection: Connection, person: str) -> tuple[Passkey, ...]:
    """All passkeys that a person ever had."""
    return tuple(bound.find(connection, people_tables.passkeys, Passkey, person=person))


def staff_ever(connection: Connection, most: int) -> int:
    """How many of the organisation's own people ever had a passkey, counted up to `most`.

    It never becomes fewer: a row of a passkey or person stays when it ends or is erased. What does not hold counts too.
    """
    keys, rows = people_tables.passkeys, tables.people
    joined = keys.join(rows, rows.c.id == keys.c.person)
    statement = select(keys.c.person).select_from(joined).where(rows.c.supplier == "").distinct().limit(most)
    return len(connection.execute(statement).all())


def uses(connection: Connection, passkey_id: str) -> tuple[int, int]:
    """The counter as last seen, and when that was (microseconds UTC; 0: never)."""
    table = people_tables.passkey_uses
    found = connection.execute(select(table.c.counter, table.c.used_us).where(table.c.passkey == passkey_id)).first()
    return (found.counter, found.used_us) if found else (0, 0)


def add(writing: Writing, person: str, made: Made, rp: str, actor: str) -> tuple[Passkey, int]:
    """A new passkey with its entry; and the entry's index. Its person is to be told.

    Raises `Refused` ("passkey-invalid") when it is there.
    """
    hashed = known_by(base64url_to_bytes(made.credential))
    if find(writing.connection, hashed) is not None:
        raise _invalid("the credential is known already", person)
    if len(of_person(writing.connection, person)) >= MAX_KEYS:
        raise Refused("too-many-passkeys", "", client_id=person)
    passkey = Passkey(
        id=new_id(),
        name=f"passkey of {rfc3339(writing.time_us)[:10]}",
        person=person,
        known_by=hashed,
        credential=made.credential,
        public_key=made.public_key,
        rp=rp,
        synced=made.synced,
        added_us=writing.time_us,
    )
    refs = {"person": person}
    index = writing.write(people_tables.passkeys, None, passkey, people_entries.PASSKEY_ADDED, actor, (person,), refs)
    count(writing, passkey.id, made.counter)
    to_tell.owe(writing, person, "key-added")
    return passkey, index


def end(writing: Writing, passkey: Passkey, reason: str, actor: str) -> int:
    """End a passkey; the entry's index. Its person is to be told."""
    after = msgspec.structs.replace(passkey, ended=Ended(writing.time_us, reason, actor))
    kind, person = people_entries.PASSKEY_ENDED, passkey.person
    to_tell.owe(writing, person, "key-ended")
    return writing.write(people_tables.passkeys, passkey, after, kind, actor, (person,), {"person": person})


def use(writing: Writing, shown: Shown) -> None:
    """Remember an assertion, in the transaction of what it gives. Raises as `check_assertion`: another may be first."""
    _require_on(shown.passkey, shown.counter, uses(writing.connection, shown.passkey.id)[0])
    now = get(writing.connection, shown.passkey.id)
    if now is None or now.ended is not None:
        raise Refused("passkey-invalid", "it was ended", cause="passkey-ended", client_id=shown.passkey.person)
    count(writing, shown.passkey.id, shown.counter)


def _require_on(passkey: Passkey, seen: int, counter: int) -> None:
    if (seen or counter) and not counter < seen <= _MOST_COUNT:
        raise Refused(
            "passkey-invalid",
            f"its counter is {seen} after {counter}: there may be a copy of it",
            cause="passkey-copied",
            client_id=passkey.person,
            proven=True,
        )


def count(writing: Writing, passkey_id: str, counter: int) -> None:
    """Remember that it was used now, and its counter."""
    table = people_tables.passkey_uses
    writing.connection.execute(delete(table).where(table.c.passkey == passkey_id))
    writing.connection.execute(insert(table).values(passkey=passkey_id, counter=counter, used_us=writing.time_us))
