"""What is said on the keeper's two sockets. Frames: 4-byte big-endian length, then MessagePack.

A request is `[number, verb, body]`, an answer `[number, ok, body]` with the same number, a push `[0, name, body]`.
The gateway's socket knows the verbs of `GATEWAY_VERBS` only; the operator's socket those of `OPERATOR_VERBS` only.
Times are microseconds since 1970 UTC; durations microseconds; `valid_for_us` counts from the moment of the answer,
so that a gateway can arm a timer on its monotonic clock whatever its wall clock says.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keten.keeper.budget_protocol import BUDGET_VERBS, BudgetLine, MoreState
from keten.keeper.caller import Caller as Caller  # noqa: PLC0414  # part of what gateways say
from keten.keeper.caller import HttpProof as HttpProof  # noqa: PLC0414  # as above
from keten.keeper.caller import SessionProof as SessionProof  # noqa: PLC0414  # as above
from keten.keeper.follow_protocol import FOLLOW_VERBS
from keten.keeper.people_protocol import FACE_VERBS, PERSON_VERBS
from keten.keeper.portal_protocol import PORTAL_VERBS
from keten.keeper.provider_protocol import PROVIDER_FACE_VERBS, PROVIDER_VERBS
from keten.keeper.put_protocol import PutAbort as PutAbort  # noqa: PLC0414  # part of this list of verbs
from keten.keeper.put_protocol import PutBegin as PutBegin  # noqa: PLC0414  # as above
from keten.keeper.put_protocol import PutCommit as PutCommit  # noqa: PLC0414  # as above
from keten.keeper.put_protocol import PutReady as PutReady  # noqa: PLC0414  # as above
from keten.keeper.put_protocol import TableShape as TableShape  # noqa: PLC0414  # as above
from keten.keeper.record_protocol import RECORD_VERBS
from keten.keeper.recovery_protocol import RECOVERY_FACE_VERBS, RECOVERY_VERBS
from keten.keeper.rights_protocol import RIGHTS_VERBS, EndGrant
from keten.keeper.subject_protocol import SUBJECT_VERBS
from keten.keeper.subject_protocol import Destroy as Destroy  # noqa: PLC0414  # as above
from keten.keeper.subject_protocol import Destroyed as Destroyed  # noqa: PLC0414  # as above
from keten.keeper.system_protocol import SYSTEM_VERBS
from keten.keeper.watch_protocol import WATCH_VERBS
from keten.keeper.witness_protocol import WITNESS_VERBS

MAX_GATEWAY_FRAME = 1024 * 1024
MAX_ANSWER_FRAME = 8 * 1024 * 1024  # from the keeper: a page of a listing, and a push, are at most a quarter of it
MAX_OPERATOR_FRAME = 256 * 1024 * 1024


class Request(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`number` is the caller's own, above 0."""

    number: int
    verb: str
    body: msgspec.Raw


class Answer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`body` is the verb's answer type, or `Failure` when `ok` is false."""

    number: int
    ok: bool
    body: msgspec.Raw


class Push(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From the keeper, unasked; `number` is 0."""

    number: int
    name: str
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """A `KetenError` on its way to another process. `reason` goes to operators only. `data`: e.g. {"nonce": …}."""

    category: str
    code: str
    public: str
    reason: str = ""
    data: dict[str, str] = {}


class Nothing(msgspec.Struct, frozen=True):
    """An empty body."""


# ---- said by gateways ----------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True):
    """First thing said by a gateway; until it has its answer every other verb is refused ("no-hello")."""

    name: str
    version: str


class Welcome(msgspec.Struct, frozen=True):
    """`hosts`: what the instance's own certificate must be for, by the keeper's settings."""

    origin: str
    time_us: int
    hosts: tuple[str, ...] = ()


class CertificateRequest(msgspec.Struct, frozen=True):
    """Ask for a TLS certificate for a key that the gateway made (PKCS #10, DER).

    `present`: the certificate it has (PEM); what that is for, the new one is for as well, if it is valid and ours.
    """

    request: bytes
    present: bytes = b""


class Certificate(msgspec.Struct, frozen=True):
    """PEM: the certificate with its chain."""

    certificate: bytes


class TokenRequest(msgspec.Struct, frozen=True):
    """RFC 6749 §4.4 with RFC 7523 assertion and RFC 9449 proof. `issuer`, `url`: what `aud` and `htu` must be."""

    client_id: str
    assertion: str
    dpop: str
    issuer: str
    url: str
    address: str
    direct: bool = True


class TokenGranted(msgspec.Struct, frozen=True):
    """`nonce`: a DPoP-Nonce for the next request."""

    access_token: str
    expires_in: int
    nonce: str
    entry: str


class SshSignIn(msgspec.Struct, frozen=True):
    """RFC 4252 §7: `key` is the public key blob, `signed` the bytes after the session id that `signature` covers.

    The keeper verifies the signature over string(session_id) ‖ signed, and that `signed` names `user` and `key`.
    """

    user: str
    key: bytes
    session_id: bytes
    signed: bytes
    signature: bytes
    address: str
    direct: bool = True


class SessionOpened(msgspec.Struct, frozen=True):
    """A session handle (random id) for `SessionProof`."""

    session: str
    valid_for_us: int
    entry: str


class SessionEnd(msgspec.Struct, frozen=True):
    """The SSH connection is over."""

    session: str


class ShareQuery(msgspec.Struct, frozen=True):
    """List what the caller may see, a page at a time. Refused as absent when something named is not there.

    share: one of them, by id. label: by label. name: the object of exactly this name alone. object: the one of this id.
    bare: shares without their objects. cursor: `next` of the page before, "" for the first; it belongs to the
    question. limit: the most objects, and the most shares, in the answer; 0, or more than there may be: that most.
    """

    caller: Caller
    share: str = ""
    label: str = ""
    name: str = ""
    object: str = ""
    bare: bool = False
    cursor: str = ""
    limit: int = 0


class ObjectInfo(msgspec.Struct, frozen=True):
    """Metadata of one object. `digest`: "sha-256=:<base64>:" (RFC 9530). `expires_us` 0: kept without end."""

    id: str
    name: str
    size: int
    digest: str
    media_type: str
    changed_us: int
    expires_us: int = 0


class Share(msgspec.Struct, frozen=True):
    """One grant as its recipient sees it. key, columns: of a table that is looked up, those that are granted."""

    id: str
    form: str
    label: str
    purpose: str
    valid_until_us: int
    objects: tuple[ObjectInfo, ...]
    key: str = ""
    columns: tuple[str, ...] = ()


class Shares(msgspec.Struct, frozen=True):
    """A page. `entry`: its ledger entry. `next`: the cursor of the page after it, "" when there is none."""

    entry: str
    index: int
    shares: tuple[Share, ...]
    valid_for_us: int
    next: str = ""


class OpenObject(msgspec.Struct, frozen=True):
    """Open one object: `length` bytes from `start` (-1: to the end; `start` < 0: the last -start bytes).

    `describe`: metadata only, recorded as such, and no key.
    """

    caller: Caller
    object: str
    start: int = 0
    length: int = -1
    describe: bool = False


class LookUp(msgspec.Struct, frozen=True):
    """Records of a table by their keys, for a case, under the grant (share) of this id. columns: none for all."""

    caller: Caller
    share: str
    keys: tuple[str, ...]
    case: str
    columns: tuple[str, ...] = ()


class LookedUp(msgspec.Struct, frozen=True):
    """What was recorded and charged. records: one for each key, None where there is none; each column → its value."""

    entry: str
    index: int
    records: tuple[dict[str, str | int | float | bool | None] | None, ...]


class AskMore(msgspec.Struct, frozen=True):
    """What is left under the grant (share) of this id; with `records` above 0: ask for so many more, and say why."""

    caller: Caller
    share: str
    records: int = 0
    why: str = ""
    case: str = ""


class MoreTold(msgspec.Struct, frozen=True):
    """What was recorded. budget: what is left, by window. request: the caller's newest; None: it never asked."""

    entry: str
    index: int
    budget: tuple[BudgetLine, ...]
    request: MoreState | None = None


class Layout(msgspec.Struct, frozen=True):
    """Where the ciphertext is and how it is framed (docs/formats/vault.md)."""

    storage: str
    size: int
    frame_size: int
    header: bytes


class Opened(msgspec.Struct, frozen=True):
    """One access, recorded. `opening`: the entry id, named again in `Delivered`. `key` is empty when only described.

    Accesses with the same `valid_until_us` end together; 0: not told.
    """

    opening: str
    index: int
    info: ObjectInfo
    layout: Layout
    key: bytes
    valid_for_us: int
    start: int
    length: int
    valid_until_us: int = 0


class Delivered(msgspec.Struct, frozen=True):
    """How an access ended: complete, client-closed, cut, ended, damaged, failed. `sent`: bytes handed to the socket."""

    opening: str
    sent: int
    end: str


class Progress(msgspec.Struct, frozen=True):
    """Bytes sent so far, said every few MiB, so that a killed gateway leaves bounds. Not an entry."""

    opening: str
    sent: int


class Recorded(msgspec.Struct, frozen=True):
    """An entry was made."""

    entry: str
    index: int


class Acknowledge(msgspec.Struct, frozen=True):
    """A push was carried out: every connection it named is reset."""

    push: int


# ---- pushed to gateways --------------------------------------------------------------------------------------------


class Cut(msgspec.Struct, frozen=True):
    """Reset these accesses and sessions now, then `Acknowledge`. `everything`: all of them (the clock jumped, say)."""

    push: int
    openings: tuple[str, ...]
    sessions: tuple[str, ...]
    reason: str
    everything: bool = False


# ---- said by operators ---------------------------------------------------------------------------------------------


class Apply(msgspec.Struct, frozen=True):
    """An estate (the type of `keten.suppliers.estate.Estate`, as MessagePack).

    base: as of when the register was when whoever applies it looked (`Applied.base`); refused when it changed since.
    0: not compared.
    """

    estate: msgspec.Raw
    plan_only: bool = False
    base: int = 0


class Applied(msgspec.Struct, frozen=True):
    """`changes`: one per row: {"kind", "name", "id", "change", "fields": {name: [before, after]}}.

    `change`: declared, changed, ended or kept-ended. `ids`: kind → name → random id. `cut`: accesses cut.
    `base`: of a plan alone, as of when the register is that the estate was compared with.
    """

    changes: list[dict[str, Any]]
    ids: dict[str, dict[str, str]]
    cut: int = 0
    base: int = 0


class Decide(msgspec.Struct, frozen=True):
    """What would be decided. Names or ids. `at_us` 0: now. `country` "": unknown. `purpose` "": any."""

    principal: str
    action: str
    resource: str
    at_us: int = 0
    country: str = ""
    purpose: str = ""


class Replay(msgspec.Struct, frozen=True):
    """Decide again what an entry decided, from what it recorded."""

    entry: str


class Decided(msgspec.Struct, frozen=True):
    """`sentences`: policy id → {"nl", "en"}. For a replay, `same` says whether the answer is what the entry says."""

    outcome: str
    reasons: tuple[str, ...]
    valid_until_us: int
    policies: tuple[str, ...]
    attributes: dict[str, Any]
    policy_hash: str
    sentences: dict[str, dict[str, str]]
    same: bool = True


class Revoke(msgspec.Struct, frozen=True):
    """End access now. `kind`: supplier, contract, person, client, grant. `target`: name or id."""

    kind: str
    target: str
    reason: str


class Revoked(msgspec.Struct, frozen=True):
    """Each step with its outcome: [{"step", "outcome": done|already|not-done, "detail"}]."""

    id: str
    steps: list[dict[str, str]]
    entry: str
    already: bool = False


class Locate(msgspec.Struct, frozen=True):
    """Find an entry by id."""

    entry: str


class Exported(msgspec.Struct, frozen=True):
    """An operator is about to take a copy of the payloads: recorded before it is made."""

    size: int
    target: str


class Status(msgspec.Struct, frozen=True):
    """The keeper's health, for doctor, overview and tests. doing: what keeps everybody waiting now; "" for nothing."""

    origin: str
    size: int
    published: int
    time_us: int
    clock: str  # "" or what is wrong with it
    key_kind: str  # bare, passphrase, credential
    gateways: list[str]
    open_accesses: int
    sessions: int
    pending: int
    memory_bytes: int
    notes: list[str]
    doing: str = ""


class ClockAccepted(msgspec.Struct, frozen=True):
    """An operator has looked at the clock. entry: that says so; "" when it has not jumped: nothing was changed."""

    entry: str


GATEWAY_VERBS: dict[str, tuple[type, type]] = {
    "keeper.hello": (Hello, Welcome),
    "keeper.health": (Nothing, Nothing),
    "keeper.certificate": (CertificateRequest, Certificate),
    "identity.token": (TokenRequest, TokenGranted),
    "identity.ssh_sign_in": (SshSignIn, SessionOpened),
    "identity.ssh_end": (SessionEnd, Nothing),
    "exchange.shares": (ShareQuery, Shares),
    "exchange.open": (OpenObject, Opened),
    "exchange.lookup": (LookUp, LookedUp),
    "budgets.more": (AskMore, MoreTold),
    **PORTAL_VERBS,
    "exchange.progress": (Progress, Nothing),
    "exchange.delivered": (Delivered, Recorded),
    **FACE_VERBS,
    **RECOVERY_FACE_VERBS,
    "keeper.acknowledge": (Acknowledge, Nothing),
}

OPERATOR_VERBS: dict[str, tuple[type, type]] = {
    "keeper.status": (Nothing, Status),
    "keeper.accept_clock": (Nothing, ClockAccepted),
    "suppliers.apply": (Apply, Applied),
    "exchange.put_begin": (PutBegin, PutReady),
    "exchange.put_commit": (PutCommit, Recorded),
    "exchange.put_abort": (PutAbort, Nothing),
    "policy.decide": (Decide, Decided),
    "policy.replay": (Replay, Decided),
    "revocation.revoke": (Revoke, Revoked),
    "ledger.locate": (Locate, Recorded),
    "ledger.exported": (Exported, Recorded),
    **FOLLOW_VERBS,
    **RECORD_VERBS,
    **SYSTEM_VERBS,
    **WITNESS_VERBS,
    **SUBJECT_VERBS,
    **WATCH_VERBS,
    **BUDGET_VERBS,
    **RIGHTS_VERBS,
    "rights.end": (EndGrant, Revoked),
    **PERSON_VERBS,
    **PROVIDER_VERBS,
    **RECOVERY_VERBS,
}

CONSOLE_VERBS = FACE_VERBS | PROVIDER_FACE_VERBS | RECOVERY_FACE_VERBS

PUSHES: dict[str, type] = {"cut": Cut}
