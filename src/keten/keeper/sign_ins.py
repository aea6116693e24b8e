"""Signing in: proof checked, standing checked, recorded, and only then a token or a session (laws 1 and 2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keten.core.clock import Clock
from keten.core.errors import Busy, Corrupt, Denied, KetenError
from keten.exchange.opening import Door, Stale
from keten.exchange.refusals import DoorRefusals
from keten.exchange.standing import reasons_against, restraints_against
from keten.identity.errors import PUBLIC, Refused
from keten.identity.model import Client, Person
from keten.identity.pace import Pace
from keten.identity.service import SignedIn, SignIn
from keten.identity.signin_entries import Method
from keten.keeper import protocol as said
from keten.keeper.writer import Writer
from keten.ledger.model import Draft
from keten.ledger.sealing import Batch
from keten.ledger.writing import Writing
from keten.suppliers.register import Register

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5


class SignIns:
    """Signs clients in, and counts who is refused."""

    def __init__(self, sign_in: SignIn, register: Register, door: Callable[[], Door], clock: Clock) -> None:
        self._sign_in = sign_in
        self._register = register
        self._door = door
        self._clock = clock
        self.refusals = DoorRefusals()
        self._pace = Pace()

    async def token(self, writer: Writer, request: said.TokenRequest) -> said.TokenGranted:
        """A token (RFC 6749 §4.4).

        1. Verify assertion and DPoP proof.
        2. The client's supplier has a contract that runs.
        3. Commit the entry, with the proof used up. When the register changed meanwhile: 2 again.
        4. Seal the token.
        """
        now, outside = self._clock.now(), self._clock.outside()

        def check() -> SignedIn:
            client = self._client(self._sign_in.claimed_client(request))
            with self._no_faster(client):
                signed_in = self._sign_in.check_assertion(request, client, outside)  # 1
            self._standing(client, now)  # 2
            return signed_in

        signed_in, index, batch = await self._recorded(writer, check, request.address, "private_key_jwt")  # 3
        issued = self._sign_in.issue(signed_in, outside)  # 4
        entry = batch.sealed[index - batch.first].id
        return said.TokenGranted(issued.access_token, issued.expires_in, issued.nonce, entry)

    async def ssh(self, writer: Writer, request: said.SshSignIn) -> said.SessionOpened:
        """An SFTP session (RFC 4252 §7), by the same four steps."""
        now, outside = self._clock.now(), self._clock.outside()

        def check() -> SignedIn:
            client = self._client(request.user)
            with self._no_faster(client):
                signed_in = self._sign_in.check_ssh(request, client, outside)  # 1
            self._standing(client, now)  # 2
            return signed_in

        signed_in, index, batch = await self._recorded(writer, check, request.address, "ssh")  # 3
        session = self._sign_in.open_session(signed_in, outside)  # 4
        return said.SessionOpened(session.id, session.expires_us - outside, batch.sealed[index - batch.first].id)

    async def _recorded(
        self, writer: Writer, check: Callable[[], SignedIn], address: str, method: Method
    ) -> tuple[SignedIn, int, Batch]:
        """Steps 1 to 3. Nothing is recorded after a change that forbids it, and nothing given out after one."""
        try:
            epoch = self._door().fresh()
            signed_in = check()

            def recording(writing: Writing) -> int:
                return self._sign_in.record(writing, signed_in, address)

            for _attempt in range(MAX_ATTEMPTS):
                try:
                    index, batch = await writer.run(self._door().under(epoch, recording))
                except Stale:
                    epoch = self._door().fresh()
                    self._still(signed_in)
                    continue
                self._still(signed_in)  # the loop may hear of a change that came next before it hears of this
                break
            else:
                raise Busy("register-changing", "The register is changing; try again in a moment.")
        except KetenError as error:
            self.refused(writer, error, address, method)
            raise
        if batch is None:
            raise Denied("keeper-error", "The sign-in could not be recorded.")
        return signed_in, index, batch

    def _still(self, signed_in: SignedIn) -> None:
        """The proof holds, and was used up; whether whose it is may come in at this moment.

        Raises `Refused`; `Unavailable` when the clock has jumped meanwhile.
        """
        reasons = self.reasons_against(signed_in.client_id, signed_in.key, signed_in.at_us, self._clock.now())
        if reasons:
            raise _ended(reasons[0], signed_in.client_id)

    def refused(self, writer: Writer, error: KetenError, address: str, method: Method) -> None:
        """Record or count a refusal. It is not waited for: the answer is no, whatever happens to its entry."""
        draft = self._sign_in.refused(error, address, method, self._clock.outside())
        if draft is not None:
            writer.submit(lambda writing: writing.record(draft), lambda job, _batch: _lost(job.error))

    def due(self, *, everything: bool = False) -> list[Draft]:
        """Entries for refusals that were only counted in the minutes that are over (`everything`: this one, too)."""
        return [
            *self._sign_in.flush(self._clock.outside(), everything=everything),
            *self.refusals.due(self._clock.recording_time(), everything=everything),
        ]

    def drop_sessions(self, now_us: int) -> list[str]:
        """End the SFTP sessions of clients and keys that may no longer be here; their ids."""
        ended = [
            session.id
            for session in self._sign_in.sessions.all()
            if self.reasons_against(session.client_id, session.fingerprint, session.began_us, now_us)
        ]
        for session in ended:
            self._sign_in.sessions.end(session)
        return ended

    def require_free(self, client_id: str, now_us: int) -> None:
        """A caller whose proof holds is not suspended, and not asking too fast, at this moment.

        It is told why (law 8). Raises `Refused` ("suspended", "supplier-frozen"), `Slowed`.
        """
        try:
            client = self._principal(client_id)
            supplier = self._register.supplier(client.supplier) if client else None
        except Corrupt:
            return  # what comes next decides upon that, and records it
        if client is None:
            return
        reasons = restraints_against(client, supplier, now_us)
        if reasons:
            raise _ended(reasons[0], client_id)
        per_minute = client.slowed_at(now_us)
        if per_minute:
            self._pace.require(client_id, per_minute, now_us)

    def reasons_against(self, client_id: str, fingerprint: str, began_us: int, now_us: int) -> tuple[str, ...]:
        """Why what this client began with this key, signed in at `began_us`, may not go on; empty when it may.

        Of a person: what it began in the session with this public id.
        """
        self._door().fresh()
        try:
            principal = self._principal(client_id)
            if isinstance(principal, Person):
                return self._reasons_against_person(principal, fingerprint, began_us, now_us)
            client = self._sign_in.standing(client_id, fingerprint, began_us)
        except Refused as error:
            return (error.code,)
        except Corrupt:
            return ("register-mismatch",)
        return self._reasons(client, now_us)

    def _reasons_against_person(
        self, person: Person, session: str, began_us: int, now_us: int
    ) -> tuple[str, ...]:
        people = self._sign_in.people
        if people is None:
            return ("session-ended",)
        return self._reasons(person, now_us) or people.reasons_against(person.id, session, began_us)

    def _principal(self, principal_id: str) -> Client | Person | None:
        return self._register.client(principal_id) or self._register.person(principal_id)

    def _client(self, client_id: str) -> Client | None:
        """The register's client. A row that does not match the ledger is refused like an unknown one, and recorded."""
        self._door().fresh()
        try:
            return self._register.client(client_id)
        except Corrupt as error:
            log.critical("sign-in: %s", error)
            raise Refused("key-unknown", error.reason, cause="register-mismatch", client_id=client_id) from error

    @contextmanager
    def _no_faster(self, client: Client | None) -> Iterator[None]:
        """Whoever does not prove to be a client learns in the same time that there is one as that there is none."""
        try:
            yield
        except Refused as error:
            if client is not None and not error.proven:
                self._register.look_for_nobody()
            raise

    def _standing(self, client: Client | None, now_us: int) -> None:
        if client is None:
            raise Denied("key-unknown", "The proof was not made with a key of this client.")
        reasons = self._reasons(client, now_us)
        if reasons:
            raise _ended(reasons[0], client.id)

    def _reasons(self, client: Client | Person, now_us: int) -> tuple[str, ...]:
        try:
            return reasons_against(self._register, client, now_us)
        except Corrupt as error:
            log.critical("sign-in: %s", error)
            return ("register-mismatch",)


def _ended(reason: str, client_id: str) -> Refused:
    public = PUBLIC.get(reason, "Access of this client has ended, or has not begun.")
    return Refused(reason, public=public, client_id=client_id, proven=True)


def _lost(error: KetenError | None) -> None:
    if error is not None:
        log.error("a refusal is not recorded: %s", error)
