"""What gateways may say. Everything a caller gets passes here: proof, then the one door, then the key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from keten.core.errors import Busy, Denied, Invalid, KetenError, NotFound, Unavailable
from keten.exchange.opening import Committed, Evaluated, Request, Stale
from keten.exchange.running import ENDS, Running, ending, ending_unknown
from keten.identity.person_callers import VIA
from keten.identity.service import Principal
from keten.identity.signin_entries import Method
from keten.keeper import entries
from keten.keeper import protocol as said
from keten.keeper.certifying import Certifying
from keten.keeper.counted import Counted
from keten.keeper.limits import limited
from keten.keeper.listings import MAX_ATTEMPTS, Listings, info_of
from keten.keeper.lookups import LookupVerb
from keten.keeper.more import MoreVerb
from keten.keeper.portal_verbs import PortalVerbs
from keten.keeper.server import Connection, Reply, Verb, internal, verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.unsatisfiable import Unsatisfiable
from keten.keeper.writer import Job, sealed_in
from keten.ledger.model import Draft, Sealed
from keten.ledger.sealing import Batch
from keten.ledger.writing import Writing
from keten.policy.model import Allow
from keten.vault import service as vault
from keten.vault.model import Object

log = logging.getLogger(__name__)
MAX_NAMED = 50_000
"""Accesses and sessions that one push names; when it would have to name more, it cuts everything."""
GONE_GRACE_SECONDS = 10.0
"""How long a gateway that lost its connection may take to come back and say what it delivered."""
HELLOS_ON_RESERVE = 100
"""How many times, from a start on, a gateway may connect although the disk is nearly full."""


class GatewayVerbs:
    """The verbs of the gateway's socket."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self.gateways: dict[int, Connection] = {}
        self.names: dict[int, str] = {}
        self._pushes: dict[int, set[int]] = {}
        self._confirmed: dict[int, asyncio.Event] = {}
        self._next_push = 0
        self._hellos = 0
        self._sessions: dict[str, int] = {}
        self._certifying = Certifying(trusted)
        self._listings = Listings(trusted)
        self._lookups = LookupVerb(trusted)
        self._more = MoreVerb(trusted)
        self._portal = PortalVerbs(trusted, self._who)
        self.last_change = (0, 0)
        trusted.on_change = self.changed

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket. A connection that has not said `keeper.hello` may say nothing else."""
        welcomed = {
            "keeper.health": verb(said.Nothing, self.health),
            "keeper.certificate": waiting_verb(said.CertificateRequest, self.certificate),
            "keeper.acknowledge": verb(said.Acknowledge, self.acknowledge),
            "identity.token": waiting_verb(said.TokenRequest, self.token),
            "identity.ssh_sign_in": waiting_verb(said.SshSignIn, self.ssh_sign_in),
            "identity.ssh_end": verb(said.SessionEnd, self.ssh_end),
            "exchange.shares": waiting_verb(said.ShareQuery, self.shares),
            "exchange.open": verb(said.OpenObject, self.open),
            "exchange.lookup": waiting_verb(said.LookUp, self.lookup),
            "budgets.more": waiting_verb(said.AskMore, self.more),
            **self._portal.verbs(),
            "exchange.progress": verb(said.Progress, self.progress),
            "exchange.delivered": verb(said.Delivered, self.delivered),
        }
        hello = {"keeper.hello": waiting_verb(said.Hello, self.hello)}
        return hello | {name: self.after_hello(known) for name, known in welcomed.items()}

    def after_hello(self, known: Verb) -> Verb:
        """A verb for those that get pushes: nobody else would be told to cut what it was given (law 5)."""

        def handle(connection: Connection, body: msgspec.Struct, reply: Reply) -> None:
            if connection.number not in self.gateways:
                raise Denied("no-hello", "Say keeper.hello first.")
            known.handle(connection, body, reply)

        return Verb(known.decode, handle)

    # ---- gateways themselves ---------------------------------------------------------------------------------

    async def hello(self, connection: Connection, body: said.Hello) -> said.Welcome:
        """A gateway introduces itself; from now on it gets pushes."""
        trusted = self._trusted
        details = {
            "name": body.name[:100],
            "version": body.version[:40],
            "user": connection.peer.name,
            "pid": connection.peer.pid,
        }
        # Also on a disk that is nearly full: it has ends to report. But no gateway fills the disk with its hellos.
        self._hellos += 1
        await trusted.writer.run(
            lambda writing: writing.record(Draft(entries.GATEWAY_CONNECTED, "keeper", details=details)),
            essential=self._hellos <= HELLOS_ON_RESERVE,
        )
        if connection.alive:  # if it is gone meanwhile, nobody would ever confirm what is pushed to it
            self.gateways[connection.number] = connection
            self.names[connection.number] = body.name[:100]
        return said.Welcome(trusted.origin, trusted.clock.recording_time(), self._certifying.hosts)

    async def certificate(self, _connection: Connection, body: said.CertificateRequest) -> said.Certificate:
        """A TLS certificate for a key that the gateway made and keeps; recorded before it is handed out."""
        return await self._certifying.certify(body)

    def health(self, _connection: Connection, _body: said.Nothing, reply: Reply) -> None:
        """Whether requests can be served. Raises `Unavailable`: the clock jumped, or the disk is nearly full."""
        self._trusted.clock.now()
        self._trusted.writer.require_room()
        reply.ok(said.Nothing())

    def lost(self, connection: Connection) -> None:
        """A gateway's connection is gone: forget its sessions; record the ends of its accesses unless it comes back."""
        self.gateways.pop(connection.number, None)
        self.names.pop(connection.number, None)
        for push in list(self._pushes):
            self._confirm(push, connection.number)
        for session in [one for one, gateway in self._sessions.items() if gateway == connection.number]:
            self._end_session(session)
        openings = self._trusted.accesses.disown(connection.number)
        if openings:
            connection.loop.call_later(GONE_GRACE_SECONDS, self.settle, openings)

    def settle(self, openings: list[str]) -> None:
        """Record as unknown, with bounds, the ends that nobody has reported in time."""
        for opening in openings:
            running = self._trusted.accesses.get(opening)
            if running is not None and running.gateway == 0:
                self._trusted.accesses.take(opening, 0)
                self._record_end(running, ending_unknown(running))

    def _record_end(self, running: Running, run: Callable[[Writing], int]) -> None:
        def done(job: Job[int], _batch: Batch | None) -> None:
            if job.error is not None:
                log.error("the end of access %s is not recorded yet: %s", running.opening, job.error)
                running.gateway = 0
                self._trusted.accesses.put_back(running)
                asyncio.get_running_loop().call_later(GONE_GRACE_SECONDS, self.settle, [running.opening])

        self._trusted.writer.submit(run, done, essential=True)

    def acknowledge(self, connection: Connection, body: said.Acknowledge, reply: Reply) -> None:
        """A push was carried out."""
        self._confirm(body.push, connection.number)
        reply.ok(said.Nothing())

    def _confirm(self, push: int, gateway: int) -> None:
        waiting = self._pushes.get(push)
        if waiting is not None:
            waiting.discard(gateway)
            if not waiting:
                del self._pushes[push]
                self._confirmed.pop(push).set()

    async def acknowledged(self, push: int, seconds: float) -> bool:
        """Wait until every gateway has confirmed a push; whether they did in time."""
        event = self._confirmed.get(push)
        if event is None:
            return True
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def described(self) -> list[str]:
        """The connected gateways, each with its operating-system user."""
        return [f"{name} (user {self.gateways[number].peer.name})" for number, name in self.names.items()]

    def push_cut(
        self, openings: tuple[str, ...], sessions: tuple[str, ...], reason: str, *, everything: bool = False
    ) -> int:
        """Tell every gateway to reset these now; returns the push's number."""
        self._next_push += 1
        if len(openings) + len(sessions) > MAX_NAMED:
            openings, sessions, everything = (), (), True
        if self.gateways:
            self._pushes[self._next_push] = set(self.gateways)
            self._confirmed[self._next_push] = asyncio.Event()
        for running in self._trusted.accesses:
            if (everything or running.opening in openings) and not running.reason:
                running.reason = reason
        cut = said.Cut(self._next_push, openings, sessions, reason, everything)
        for gateway in self.gateways.values():
            gateway.push("cut", cut)
        return self._next_push

    def end_sessions(self, sessions: frozenset[str]) -> int:
        """Sessions of people are over, by their public ids: what was begun in them is cut. The push's number."""
        openings = [running.opening for running in self._trusted.accesses if running.begun_in(sessions)]
        return self.push_cut(tuple(openings), tuple(sorted(sessions)), "session-ended")

    def changed(self, stopped: Mapping[str, str] | None = None) -> None:
        """The register changed; called before whoever changed it hears that it is done.

        stopped: rows that ended or are suspended, each with the reason.

        1. What hangs on such a row is cut at once: with it, an access is over, whatever else holds.
        2. Everything else under way is decided again, which takes up to a millisecond each, and cut where it must be.
        """
        at_once: list[str] = []
        for reason in dict.fromkeys((stopped or {}).values()):
            rows = frozenset(row for row, why in (stopped or {}).items() if why == reason)
            hanging = [running.opening for running in self._trusted.accesses if running.hangs_on(rows)]
            if hanging:
                self.push_cut(tuple(hanging), (), reason)  # 1
                at_once += hanging
        self.last_change = self._reconsider(at_once)  # 2

    def _reconsider(self, cut: list[str]) -> tuple[int, int]:
        """Decide again on everything under way and cut what no longer holds: number of the push, how many were cut.

        What is `cut` already is named again, so that confirming this push confirms all of it.
        """
        trusted = self._trusted
        trusted.door.fresh()
        now = trusted.clock.recording_time()
        openings = dict.fromkeys(cut)
        try:
            for running in trusted.accesses:
                if running.opening not in openings and self._ends(running, now):
                    openings[running.opening] = None
            sessions = trusted.sign_ins.drop_sessions(now)
        except Exception:
            log.exception("what the change ended is not known: everything is cut")
            return self.push_cut((), (), "keeper-error", everything=True), len(trusted.accesses)
        return self.push_cut(tuple(openings), tuple(sessions), "revoked"), len(openings) + len(sessions)

    def _ends(self, running: Running, now_us: int) -> bool:
        """Whether a running access ends now, with why noted; one that cannot be decided upon ends (law 4)."""
        if running.evaluated is None:
            return False
        try:
            reasons = self._against(running.evaluated, now_us)
        except Exception:
            log.exception("access %s cannot be decided upon again: it is cut", running.opening)
            reasons = ("keeper-error",)
        if reasons and not running.reason:
            running.reason = reasons[0]
        return bool(reasons)

    def _against(self, opened: Evaluated, now_us: int) -> tuple[str, ...]:
        """Why an access that was opened may not go on; empty when it may, until the moment that its gateway was told.

        A gateway never hears of another moment. When the end came nearer the access is over now, and its caller may
        open what is left under the new end (law 5).
        """
        trusted, request = self._trusted, opened.request
        decision = trusted.door.evaluate(request, now_us).outcome.decision
        if not isinstance(decision, Allow):
            return decision.reasons
        promised = opened.outcome.decision
        reasons = trusted.sign_ins.reasons_against(request.client, request.key, request.began_us, now_us)
        if not reasons and isinstance(promised, Allow) and decision.valid_until_us < promised.valid_until_us:
            return ("ends-sooner",)
        return reasons

    # ---- signing in ------------------------------------------------------------------------------------------

    async def token(self, _connection: Connection, body: said.TokenRequest) -> said.TokenGranted:
        """RFC 6749 §4.4 by RFC 7523 and RFC 9449; recorded before the token is handed out."""
        return await self._trusted.sign_ins.token(self._trusted.writer, body)

    async def ssh_sign_in(self, connection: Connection, body: said.SshSignIn) -> said.SessionOpened:
        """RFC 4252 §7, verified here; recorded before the session exists. It ends with its gateway's connection."""
        opened = await self._trusted.sign_ins.ssh(self._trusted.writer, body)
        self._sessions[opened.session] = connection.number
        if not connection.alive:
            self._end_session(opened.session)
        return opened

    def ssh_end(self, _connection: Connection, body: said.SessionEnd, reply: Reply) -> None:
        """The SSH connection is over."""
        self._end_session(body.session)
        reply.ok(said.Nothing())

    def _end_session(self, session: str) -> None:
        self._sessions.pop(session, None)
        self._trusted.sign_in.sessions.end(session)

    def _who(self, caller: said.Caller, act: str) -> tuple[Principal, str]:
        """Step 1: verify the caller's own proof; it is not held back. Raises `Denied`, counted (law 4), and `Busy`."""
        trusted = self._trusted
        trusted.door.fresh()
        people = trusted.sign_in.people if caller.person is not None else None
        principal: Principal | None = None
        try:
            principal = trusted.sign_in.check_caller(caller, trusted.clock.outside(), act)
            trusted.sign_ins.require_free(principal.client_id, trusted.clock.now())
        except Denied as error:
            if people is None:
                method: Method = "token" if caller.session is None else "session"
                trusted.sign_ins.refused(trusted.writer, error, caller.address, method)
            elif principal is not None:  # what its session was refused for is recorded by who knows the sessions
                people.refused(error, caller.address)
            raise
        return principal, trusted.countries.country(caller.address, direct=caller.direct)

    def _still(self, client: str, key: str, began_us: int, session: str, now_us: int) -> None:
        """The register changed since the proof was verified: client, key and session must still stand (`Denied`)."""
        if session:
            self._trusted.sign_in.sessions.get(session, self._trusted.clock.outside())
        reasons = self._trusted.sign_ins.reasons_against(client, key, began_us, now_us)
        if reasons:
            raise Denied(reasons[0], "Access of this client has ended, or has not begun.")

    # ---- the door --------------------------------------------------------------------------------------------

    async def shares(self, _connection: Connection, body: said.ShareQuery) -> said.Shares:
        """A page of what the caller may see: decided, recorded, told."""
        return await self._listings.answer(body, *self._asking(body.caller, "portal-shares"))

    async def lookup(self, _connection: Connection, body: said.LookUp) -> said.LookedUp:
        """Records of a table by their keys: decided, charged, recorded, told."""
        return await self._lookups.answer(body, *self._asking(body.caller))

    async def more(self, _connection: Connection, body: said.AskMore) -> said.MoreTold:
        """What is left of a budget, and a request for more: decided, recorded, told."""
        return await self._more.answer(body, *self._asking(body.caller))

    def _asking(self, caller: said.Caller, act: str = "portal-fetch") -> tuple[Principal, str, Callable[[], None]]:
        """Who asks, from which country, and what raises `Denied` once it may no longer."""
        now = self._trusted.clock.now  # raises once it has jumped
        now()
        one, country = self._who(caller, act)
        session = caller.session.session if caller.session else ""
        return one, country, lambda: self._still(one.client_id, one.key, one.began_us, session, now())

    def open(self, connection: Connection, body: said.OpenObject, reply: Reply) -> None:
        """The way of one request.

        1. Verify the caller's own proof.
        2. and 3. Load the register's rows, checked, and decide.
        4. and 5. In the writer: charge the budget, commit the entry and the new signed head.
        6. Unwrap that object's content key.
        7. Answer: entry, key, layout, and until when it holds.
        """
        self._trusted.clock.now()  # raises once it has jumped
        principal, country = self._who(body.caller, "portal-fetch")  # 1
        request = Request(
            principal.client_id,
            body.object,
            country,
            principal.via,
            body.caller.address,
            body.start,
            body.length,
            body.describe,
            principal.key,
            principal.began_us,
            principal.until_us if principal.via == VIA else 0,
        )
        session = body.caller.session.session if body.caller.session else ""
        if session:  # which counts as one transfer, whatever is open in it
            self._attempt(connection, request, session, reply, 1)
            return
        self._require_fewer(principal.client_id)
        counted = Counted(reply, self._trusted.accesses, principal.client_id)
        try:
            self._attempt(connection, request, session, counted, 1)
        except BaseException:
            counted.over()
            raise

    def _require_fewer(self, client: str) -> None:
        """Raises `Busy` ("too-many-parallel") when a client has as much under way, over all gateways, as it may."""
        trusted = self._trusted
        sessions = len(trusted.sign_in.sessions.of_client(client))
        if trusted.accesses.transfers(client) + sessions >= trusted.settings.limits.parallel_per_client:
            raise Busy("too-many-parallel", "Too many transfers at once; wait until one is finished.")

    def _attempt(self, connection: Connection, request: Request, session: str, reply: Reply, attempt: int) -> None:
        trusted = self._trusted
        now = trusted.clock.now()
        if attempt > 1:
            self._still(request.client, request.key, request.began_us, session, now)
        evaluated = trusted.door.evaluate(request, now)  # 2, 3

        def done(job: Job[Committed | None], batch: Batch | None) -> None:
            try:
                if isinstance(job.error, Stale) and attempt < MAX_ATTEMPTS:
                    self._attempt(connection, request, session, reply, attempt + 1)
                elif isinstance(job.error, Stale):
                    reply.error(Busy("register-changing", "The register is changing; try again in a moment."))
                elif job.error is not None:
                    reply.error(job.error)
                else:
                    reply.ok(self._opened(connection, evaluated, session, job.value, batch))
            except KetenError as error:
                reply.error(error)
            except Exception:
                log.exception("an access could not be opened")
                reply.error(internal())

        trusted.writer.submit(trusted.door.committing(evaluated, trusted.sign_ins.refusals), done)  # 4, 5

    def _opened(
        self,
        connection: Connection,
        evaluated: Evaluated,
        session: str,
        committed: Committed | None,
        batch: Batch | None,
    ) -> said.Opened:
        """Steps 6 and 7, once the entry is durable."""
        trusted = self._trusted
        found, decision = evaluated.found, evaluated.outcome.decision
        grant = evaluated.outcome.grant
        if committed is not None and committed.spent is not None and grant is not None:
            raise limited(committed.spent, grant.id, trusted.clock.recording_time())
        if committed is None or committed.reasons or found is None or not isinstance(decision, Allow):
            raise NotFound("absent", "There is nothing here.", ",".join(committed.reasons if committed else ()))
        sealed = sealed_in(batch, committed.index)
        if not evaluated.satisfiable:
            raise Unsatisfiable(found.size, sealed)
        if not committed.opened:
            return self._answer(evaluated, found, decision, sealed, b"")
        trusted.accesses.add(evaluated, committed, sealed.id, session, connection.number)
        try:
            self._still_in_session(evaluated.request)
            key = self._key(connection, found)  # 6
            return self._answer(evaluated, found, decision, sealed, key)  # 7
        except Exception:
            running = trusted.accesses.take(sealed.id, connection.number)
            self._record_end(running, ending(running, 0, "failed"))
            raise

    def _still_in_session(self, request: Request) -> None:
        """A person's session ends without a change of the register, so also while this waited for the writer."""
        people = self._trusted.sign_in.people if request.channel == VIA else None
        reasons = people.reasons_against(request.client, request.key, request.began_us) if people else ()
        if reasons:
            raise Denied(reasons[0], "You are not signed in any more.")

    def _key(self, connection: Connection, found: Object) -> bytes:
        if not connection.alive:  # nobody is there to take it, or to report an end
            raise Unavailable("gateway-gone", "The gateway went away.")
        return self._trusted.keys.content_key(self._trusted.objects.key_of(found))

    def _answer(self, evaluated: Evaluated, found: Object, decision: Allow, sealed: Sealed, key: bytes) -> said.Opened:
        until_us = evaluated.holds_until(decision)
        return said.Opened(
            sealed.id,
            sealed.index,
            info_of(found),
            said.Layout(found.storage, found.size, vault.FRAME_SIZE, vault.header_of(found)),
            key,
            max(0, until_us - self._trusted.clock.recording_time()),  # from this moment, not the entry's
            evaluated.start,
            evaluated.length,
            until_us,
        )

    def progress(self, _connection: Connection, body: said.Progress, reply: Reply) -> None:
        """How far a delivery is."""
        self._trusted.accesses.progress(body.opening, body.sent)
        reply.ok(said.Nothing())

    def delivered(self, connection: Connection, body: said.Delivered, reply: Reply) -> None:
        """What was really delivered; recorded, also when the disk is nearly full."""
        if body.end not in ENDS or body.sent < 0:
            raise Invalid("malformed", "The report of a delivery is malformed.")
        trusted = self._trusted
        running = trusted.accesses.take(body.opening, connection.number)
        sent = min(body.sent, running.length)

        def done(job: Job[int], batch: Batch | None) -> None:
            if job.error is not None:
                trusted.accesses.put_back(running)
                reply.error(job.error)
            elif job.value is not None:
                reply.ok(said.Recorded(sealed_in(batch, job.value).id, job.value))

        trusted.writer.submit(ending(running, sent, body.end), done, essential=True)
