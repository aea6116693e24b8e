"""Who it takes for what cannot be undone (law 14): the hash that people sign for, who signed, how many are missing."""

from __future__ import annotations

import os

import msgspec

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt, Denied
from keten.identity.ceremonies import act_of
from keten.identity.people_model import Signed
from keten.keeper import protocol as said
from keten.keeper import subject_protocol as told
from keten.keeper.server import Connection, named_ids, user_ids
from keten.keeper.trusted import Trusted
from keten.subjects import signing
from keten.subjects.model import Operator, Request, What
from keten.vault.rules import check_reason

_DESTROY = "destroy-"
_PERSON = "person:"


class TwoPeople:
    """Answers about requests; changes nothing."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def act(self, what: What, target: str, reason: str, basis: str) -> str:
        """SHA-256 (hex) of the verb and body that ask for this, with random ids for names: what people sign for.

        Raises `Invalid` ("reason").
        """
        reason = check_reason(reason)
        verb, body = self._asked(what, target, reason, basis.strip())
        return act_of(verb, msgspec.msgpack.encode(body)).hex()

    def _asked(self, what: What, target: str, reason: str, basis: str) -> tuple[str, msgspec.Struct]:
        if what == "erase":
            return "subjects.erase", told.Erase(target, reason, basis)
        if what == "read":
            return "subjects.open", told.OpenAddresses(target, reason)
        if what == "release":
            return "subjects.release", told.ReleaseHold(target, reason)
        kind = what.removeprefix(_DESTROY)
        if kind != "object":
            return "revocation.destroy", said.Destroy(target, reason, kind=kind)
        found = self._trusted.objects.get(target)
        return "revocation.destroy", said.Destroy(found.dataset if found else "", reason, kind=kind, file=target)

    def named(self) -> frozenset[int]:
        """The users of the operating system whom the settings name as operators."""
        return named_ids(self._trusted.settings.keeper.operator_users)

    def approvers(self, what: str) -> int:
        """How many it takes. Until people sign, one may destroy content as long as there is only one operator."""
        if self.people_sign():
            return signing.ENOUGH
        settings = self._trusted.settings
        if settings.erasure.approvers == 1 or what == "read":
            return 1
        if not what.startswith(_DESTROY):
            return 2
        own = os.getuid()
        operators = {uid for uid in user_ids(settings.keeper.operator_users) if uid or not own}
        return min(2, len(operators))

    def people_sign(self) -> bool:
        """Whether people sign here."""
        with self._trusted.reader.connect() as reading:
            return signing.people_sign(reading)

    def missing(self, request: Request) -> int:
        """How many people have to sign yet; 0 where it is over, or people do not sign here."""
        if request.state != "waiting" or not self.people_sign():
            return 0
        return max(1, signing.ENOUGH - len(request.signatures))

    def signers(self, request: Request) -> list[told.Signer]:
        """Who signed."""
        return [
            told.Signer(one.person, self.name(f"{_PERSON}{one.person}"), rfc3339(one.at_us))
            for one in request.signatures
        ]

    def name(self, who: str) -> str:
        """What the organisation calls whoever asked or decided: a user of the operating system is its own name."""
        if not who.startswith(_PERSON):
            return who
        person = who.removeprefix(_PERSON)
        try:
            found = self._trusted.register.person(person)
        except Corrupt:  # its row does not match the ledger
            return person
        return found.name if found else person


def who_of(connection: Connection) -> Operator:
    """Who is on the other side: a person, or a user by the operating system's word."""
    if connection.person:
        return Operator(connection.actor, -1)
    return Operator(connection.peer.name, connection.peer.uid)


def required(signed: Signed | None) -> Signed:
    """What a person signed for. Raises `Denied` ("step-up") when it did not."""
    if signed is None:
        raise Denied("step-up", "This takes a fresh confirmation with your passkey.")
    return signed
