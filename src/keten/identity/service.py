"""Sign-in of systems, as the keeper does it: check the proof, record, and only then hand out a token or a session.

- `check_assertion`, `check_ssh` (event loop): `SignedIn`, or `Refused`
- `record` (writer): the entry, and the proof used up, in one commit
- `issue`, `open_session` (event loop): token or session, once the entry is durable
- `check_http`, `check_session`, `check_person` (event loop): a `Principal`, for every single request afterwards
- `refused`, `flush` (event loop): entries about refusals, bounded in number
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from keten.core.clock import SECOND
from keten.core.errors import Busy, KetenError, Unavailable
from keten.core.settings import Limits
from keten.identity import signin_entries
from keten.identity.assertions import check_assertion, claimed_client
from keten.identity.dpop import DpopProofs
from keten.identity.errors import Refused, invalid
from keten.identity.keys import PublicKey, keyring
from keten.identity.model import Client
from keten.identity.networks import Networks, Place
from keten.identity.nonces import Nonces
from keten.identity.person_callers import VIA, PersonCallers
from keten.identity.replays import NEVER_US, ReplayMemory, UsedProofs
from keten.identity.requests import Caller, HttpProof, PersonProof, SessionProof, SshSignIn, TokenRequest
from keten.identity.sessions import Session, Sessions
from keten.identity.signin_entries import Method
from keten.identity.ssh import check_signature
from keten.identity.strangers import Refusals, Strangers
from keten.identity.tokens import Tokens, new_serial
from keten.ledger.model import Draft
from keten.ledger.writing import Writing

MAX_SIGN_INS_REMEMBERED = 500_000


class SignedIn(msgspec.Struct, frozen=True):
    """A sign-in whose proof holds and that has yet to be recorded.

    key: fingerprint of the client's key. jkt: thumbprint of the DPoP key (HTTPS). hashed, until_us: what is used up
    by recording it, and until when that is remembered. at_us: when it was checked.
    """

    method: Method
    client_id: str
    supplier: str
    key: str
    serial: str
    hashed: bytes
    until_us: int
    at_us: int
    jkt: bytes = b""


class Issued(msgspec.Struct, frozen=True):
    """A token for the client; `expires_in` seconds; `nonce` for its next proof."""

    access_token: str
    expires_in: int
    nonce: str


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who asks, proven for this one request.

    client_id: of a client, or of a person. key: fingerprint of the client's key at sign-in; of a person, the public id
    of its session. via: "https", "sftp" or "portal". serial: of the sign-in, as in its entry. jkt: thumbprint of the
    DPoP key (HTTPS alone). session: SFTP session id. began_us, until_us: since when and until when token or session
    hold.
    """

    client_id: str
    supplier: str
    key: str
    via: str
    serial: str
    until_us: int
    jkt: bytes = b""
    session: str = ""
    began_us: int = 0


class SignIn:
    """Proofs of clients. All its times are by the wall clock, as `Clock.outside` says: proofs are dated by others.

    root: the keeper's root key. clients: the register's checked look-up of a client by id. started_us: the time of
    the newest entry, or now if that is later. issuers: the gateway's public URLs where the keeper knows them from its
    own settings (no trailing slash); then a gateway can't pass on proofs that were meant for somebody else.
    transfers: how many a client has under way outside sessions. restored_us: when the instance was restored, 0 if
    never: which proofs of before were used is not known. networks: what entries say of where a caller is; None:
    nothing. Not thread-safe, except `record`, which is the writer's.
    """

    def __init__(
        self,
        root: bytes,
        clients: Callable[[str], Client | None],
        limits: Limits,
        started_us: int,
        issuers: frozenset[str] = frozenset(),
        transfers: Callable[[str], int] = lambda _client: 0,
        *,
        restored_us: int = 0,
        networks: Networks | None = None,
    ) -> None:
        self.people: PersonCallers | None = None  # known once the keeper serves people; until then none may ask
        self._restored_us = restored_us
        self._clients = clients
        self._issuers = issuers
        self._tokens = Tokens(root, limits.token_seconds)
        self._used = UsedProofs()
        self._seen = ReplayMemory(MAX_SIGN_INS_REMEMBERED)
        self._networks = networks
        self._strangers = Strangers(pseudonym=networks.pseudonym) if networks else Strangers()
        self._refusals = Refusals()
        self.nonces = Nonces(started_us)
        self.dpop = DpopProofs(self.nonces)
        self.sessions = Sessions(limits.sftp_session_hours, limits.parallel_per_client, limits.connections, transfers)

    # ---- signing in ------------------------------------------------------------------------------------------------

    def claimed_client(self, request: TokenRequest) -> str:
        """The client id of a token request: its `client_id`, else what the assertion claims (RFC 7523 §3).

        Raises `Refused` ("proof-invalid").
        """
        return request.client_id or claimed_client(request.assertion)

    def check_assertion(self, request: TokenRequest, client: Client | None, now_us: int) -> SignedIn:
        """Check a request for a token. `client`: the register's, of `claimed_client`; None when there is none.

        1. The issuer is ours, and the token endpoint belongs to it.
        2. The assertion (`assertions.check_assertion`, steps 1 to 10); for an unknown client just as long.
        3. A key of the client signed it.
        4. The client has not ended.
        5. The DPoP proof for the token endpoint (`dpop.DpopProofs.check`).
        6. Neither was seen before. Only now are they used up: whoever is asked for a nonce may use the assertion again.

        Raises `Refused`: "proof-invalid", "proof-expired", "proof-replayed", "key-unknown" (cause "client-unknown"
        for an unknown one), "client-ended", "use_dpop_nonce"; with {"proof": "dpop"} as `data` when it is about the
        DPoP proof; `Busy` when too many are remembered.
        """
        client_id = client.id if client else self.claimed_client(request)
        known = client.id if client else ""
        try:
            self._require_ours(request.issuer, request.url)  # 1
            keys = keyring(client.keys) if client else ()
            assertion = check_assertion(request.assertion, client_id, request.issuer, keys, now_us)  # 2
        except Refused as error:
            raise _about(error, known) from error
        if client is None or assertion.key is None:  # 3
            raise _key_unknown(client)
        try:
            _require_running(client)  # 4
            with _dpop():
                proof = self.dpop.check(request.dpop, "POST", request.url, now_us)  # 5
            self._require_newer(assertion.made_us)  # 6
            self._seen.require_new(assertion.hashed, now_us)
            with _dpop():
                self.dpop.use(proof, now_us)
            self._seen.use(assertion.hashed, assertion.until_us, now_us)
        except Refused as error:
            raise _about(error, known, proven=error.code != "proof-replayed") from error
        return SignedIn(
            "private_key_jwt",
            client.id,
            client.supplier,
            assertion.key.fingerprint,
            new_serial(),
            assertion.hashed,
            assertion.until_us,
            now_us,
            proof.jkt,
        )

    def _require_newer(self, made_us: int) -> None:
        """What was made before the instance was restored may have been used; nobody knows."""
        if made_us < self._restored_us:
            raise Refused("proof-replayed", "it was made before this instance was restored")

    def check_ssh(self, request: SshSignIn, client: Client | None, now_us: int) -> SignedIn:
        """Check an SSH sign-in. `client`: the register's, with the id that is the user name; None when there is none.

        1. The signature (`ssh.check_signature`, steps 1 to 6), for an unknown client as well.
        2. The key is one of the client's.
        3. The client has not ended.
        4. There is room for one more session.
        5. The session id was not seen before.

        Raises `Refused`: "proof-invalid", "key-unknown" (cause "client-unknown"), "client-ended", "proof-replayed";
        `Busy` ("too-many-sessions", "too-many-proofs").
        """
        known = client.id if client else ""
        try:  # 1
            proof = check_signature(request.user, request.key, request.session_id, request.signed, request.signature)
        except Refused as error:
            raise _about(error, known) from error
        key = _find(keyring(client.keys) if client else (), proof.key.fingerprint)  # 2
        if client is None or client.id != proof.user or key is None:
            raise _key_unknown(client)
        try:
            _require_running(client)  # 3
            self.sessions.require_room(client.id, now_us)  # 4
            self._seen.use(proof.hashed, now_us + _SSH_SEEN_US, now_us)  # 5
        except Refused as error:
            raise _about(error, known, proven=error.code != "proof-replayed") from error
        used, until_us = proof.hashed, NEVER_US
        return SignedIn("ssh", client.id, client.supplier, key.fingerprint, new_serial(), used, until_us, now_us)

    def record(self, writing: Writing, signed_in: SignedIn, address: str = "") -> int:
        """Use the proof up and record the sign-in, in the writer's transaction; returns the entry's index.

        address: the caller's, of which the entry says the network's pseudonym.
        Raises `Refused` ("proof-replayed") when it was used before a restart; then nothing is written.
        """
        try:
            self._used.spend(writing.connection, signed_in.hashed, signed_in.until_us, signed_in.at_us)
        except Refused as error:
            raise _about(error, signed_in.client_id) from error
        return writing.record(
            signin_entries.signed_in(
                signed_in.client_id,
                signed_in.supplier,
                signed_in.method,
                signed_in.key,
                signed_in.hashed,
                signed_in.serial,
                self._place(address),
            )
        )

    def _place(self, address: str) -> Place:
        return self._networks.place(address) if self._networks else {}

    def issue(self, signed_in: SignedIn, now_us: int) -> Issued:
        """A token for a recorded sign-in."""
        token = self._tokens.issue(signed_in.client_id, signed_in.key, signed_in.jkt, signed_in.serial, now_us)
        return Issued(token, self._tokens.lifetime_s, self.nonces.current(now_us))

    def open_session(self, signed_in: SignedIn, now_us: int) -> Session:
        """A session for a recorded sign-in. Raises `Busy` ("too-many-sessions")."""
        return self.sessions.open(signed_in.client_id, signed_in.key, signed_in.serial, now_us)

    # ---- every request afterwards ----------------------------------------------------------------------------------

    def check_caller(self, caller: Caller, now_us: int, act: str) -> Principal:
        """Whoever shows exactly one kind of proof. act: what a person must hold; clients have no roles.

        Raises what `check_http`, `check_session` and `check_person` raise.
        """
        shown = [proof for proof in (caller.http, caller.session, caller.person) if proof is not None]
        if len(shown) != 1:
            raise invalid("not exactly one proof")
        if caller.http is not None:
            return self.check_http(caller.http, now_us)
        if caller.session is not None:
            return self.check_session(caller.session, now_us)
        if caller.person is not None:
            return self.check_person(caller.person, act, quiet=caller.quiet)
        raise invalid("no proof")

    def check_person(self, proof: PersonProof, act: str, *, quiet: bool = False) -> Principal:
        """Check one request of a person at the portal: its session holds, and a role of the person holds the act.

        quiet: as `PersonCallers.check`.

        Raises `Refused` ("session-ended", "not-allowed"), recorded already; `Unavailable`.
        """
        if self.people is None:
            raise Refused("session-ended", "nobody signs in here")
        found = self.people.check(proof, act, quiet=quiet)
        return Principal(
            found.person,
            found.supplier,
            found.session,
            VIA,
            found.session,
            found.until_us,
            began_us=found.began_us,
        )

    def check_http(self, proof: HttpProof, now_us: int) -> Principal:
        """Check one HTTPS request.

        1. The token is ours and not over.
        2. The address is below an issuer of ours.
        3. The DPoP proof is for this request and token, by the key the token is bound to.
        4. It was not seen before.
        5. The client is there, and has not ended.
        6. The key it signed in with is still one of its keys, and it need not sign in anew.

        Raises `Refused`: "token-invalid", "token-expired", "proof-invalid", "proof-expired", "proof-replayed",
        "use_dpop_nonce", "client-ended", "key-unknown", "sign-in-again"; `Busy` ("too-many-proofs").
        """
        claims = self._tokens.open(proof.token, now_us)  # 1
        try:
            self._require_ours("", proof.url)  # 2
            shown = self.dpop.check(  # 3
                proof.dpop, proof.method, proof.url, now_us, claims.ath, claims.jkt
            )
            self.dpop.use(shown, now_us)  # 4
        except Refused as error:
            raise _about(error, claims.client_id) from error
        began_us = claims.expires_us - self._tokens.lifetime_s * SECOND
        client = self.standing(claims.client_id, claims.fingerprint, began_us)  # 5, 6
        return Principal(
            client.id,
            client.supplier,
            claims.fingerprint,
            "https",
            claims.serial,
            claims.expires_us,
            jkt=claims.jkt,
            began_us=began_us,
        )

    def check_session(self, proof: SessionProof, now_us: int) -> Principal:
        """Check one request within an SFTP session: it is open, and its client and key still stand.

        Raises `Refused`: "session-ended", "client-ended", "key-unknown", "sign-in-again".
        """
        session = self.sessions.get(proof.session, now_us)
        client = self.standing(session.client_id, session.fingerprint, session.began_us)
        return Principal(
            client.id,
            client.supplier,
            session.fingerprint,
            "sftp",
            session.serial,
            session.expires_us,
            session=session.id,
            began_us=session.began_us,
        )

    def clock_accepted(self, newest_us: int) -> None:
        """An operator accepted another clock: whoever was signed in by the old one signs in again.

        newest_us: time of the newest entry, or now if that is later. Until the clock is past it, every proof must hold
        a nonce: one that was shown before the clock was set back could be shown again.
        """
        self.nonces.renew(newest_us)
        self.sessions.end_all()

    # ---- refusals --------------------------------------------------------------------------------------------------

    def refused(
        self, error: KetenError, address: str, method: Method, now_us: int, client_id: str = ""
    ) -> Draft | None:
        """What to record about a refusal now: an entry, or None when it is counted (or is no refusal at all).

        Being asked for a nonce is a step of the protocol, and `Busy` and `Unavailable` say nothing about who asks.
        `client_id`: whom it is about, for errors of other rooms, which do not say so themselves.
        """
        if error.code == "use_dpop_nonce" or isinstance(error, (Busy, Unavailable)):
            return None
        if isinstance(error, Refused):
            client_id = error.client_id or client_id
        if not client_id:
            self._strangers.refused(address, now_us)
            return None
        cause, proven = (error.cause, error.proven) if isinstance(error, Refused) else (error.code, False)
        return self._refusals.refused(client_id, method, cause, now_us, proven=proven, place=self._place(address))

    def flush(self, now_us: int, *, everything: bool = False) -> list[Draft]:
        """Entries for what was only counted, of the minutes that are over (`everything`: when the keeper stops)."""
        return [
            *self._strangers.flush(now_us, everything=everything),
            *self._refusals.flush(now_us, everything=everything),
        ]

    # ---- steps -----------------------------------------------------------------------------------------------------

    def _require_ours(self, issuer: str, url: str) -> None:
        if issuer and not url.startswith(issuer + "/"):
            raise invalid("the token endpoint is not below the issuer")
        if not self._issuers:
            return
        if issuer and issuer not in self._issuers:
            raise invalid("the issuer is not ours")
        if not any(url.startswith(each + "/") for each in self._issuers):
            raise invalid("the address is not ours")

    def standing(self, client_id: str, fingerprint: str, began_us: int) -> Client:
        """The client, which is there, has not ended, and still has the key it signed in with. Raises `Refused`.

        began_us: when it signed in; "sign-in-again" when what was signed in with then is over.
        """
        client = self._clients(client_id)
        if client is None:
            raise Refused("key-unknown", "the client is gone", cause="client-unknown")
        _require_running(client)
        if _find(keyring(client.keys), fingerprint) is None:
            raise Refused("key-unknown", "the key of the sign-in was taken out", client_id=client_id, proven=True)
        if client.anew_us and began_us <= client.anew_us:
            raise Refused("sign-in-again", "it was signed out", client_id=client_id, proven=True)
        return client


_SSH_SEEN_US = 60 * SECOND  # a commit is over by then, and the database remembers for good


@contextmanager
def _dpop() -> Iterator[None]:
    """What is refused in the block is the DPoP proof, and not the assertion: they are answered differently."""
    try:
        yield
    except Refused as error:
        error.data["proof"] = "dpop"
        raise


def _find(keys: tuple[PublicKey, ...], fingerprint: str) -> PublicKey | None:
    return next((key for key in keys if key.fingerprint == fingerprint), None)


def _require_running(client: Client) -> None:
    if client.ended is not None:
        raise Refused("client-ended", "it was ended before", client_id=client.id, proven=True)


def _key_unknown(client: Client | None) -> Refused:
    """The same outside for an unknown client and for a wrong key."""
    if client is None:
        return Refused("key-unknown", "no such client", cause="client-unknown")
    return Refused("key-unknown", "by none of the client's keys", client_id=client.id)


def _about(error: Refused, client_id: str, *, proven: bool = False) -> Refused:
    """The same refusal, with the client that it is about."""
    return Refused(
        error.code,
        error.reason,
        public=error.public,
        cause=error.cause,
        client_id=error.client_id or client_id,
        proven=error.proven or proven,
        data=error.data,
    )
