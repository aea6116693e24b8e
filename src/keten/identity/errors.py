"""Why sign-in says no: one error, with what the outside may know apart from what the ledger records."""

from __future__ import annotations

from keten.core.errors import Busy, Denied

# What the caller is told, by code (docs/formats/reasons.md has the same codes in English and Dutch).
PUBLIC: dict[str, str] = {
    "ceremony-over": "This took too long, or was begun elsewhere. Try again.",
    "client-ended": "This client's access has ended.",
    "key-unknown": "The proof was not made with a key of this client.",
    "link-invalid": "This link does not work: it was used before, has expired, or is not whole. Ask for a new one.",
    "no-passkey": "This takes a passkey, and you have none. Ask for a one-time link.",
    "not-allowed": "You may not do that.",
    "passkey-invalid": "The passkey could not be verified. Try again.",
    "proof-expired": "The proof is too old, or from the future. Check the clock of this machine.",
    "proof-invalid": "The proof of who is asking is not valid.",
    "proof-replayed": "The proof was used before. Make a new one for every request.",
    "session-ended": "This session is over. Sign in again.",
    "recovered-lately": "You came back with a code lately. For a while you may see, and change or fetch nothing.",
    "sign-in-failed": "Signing in did not work. Try again, or ask whoever invited you.",
    "sign-in-again": "What was signed in with is over. Sign in again.",
    "slowed": "This client may make fewer requests a minute for a while. Try again later.",
    "step-up": "Confirm this with your passkey.",
    "too-many-passkeys": "There are as many passkeys as one person may have. End one first.",
    "supplier-frozen": "Access of this client's organisation is suspended for a while.",
    "suspended": "This client is suspended for a while.",
    "token-expired": "The access token is over. Ask for a new one.",
    "token-invalid": "The access token is not valid. Ask for a new one.",
    "use_dpop_nonce": "The proof must hold the nonce that comes with this answer.",
}


class Refused(Denied):
    """A proof that does not hold.

    code: what the outside is told; the same for an unknown client and for a wrong key of a known one.
    cause: what the ledger records; `code` unless the outside may not know ("client-unknown").
    client_id: the client that the proof is about, when the register knows it; "" for strangers.
    proven: whether the client's own key stood behind the request, so that the refusal is about its own act.
    data: what goes along to the caller ({"nonce": …} with "use_dpop_nonce").
    reason: fixed text for the ledger and the operator; never what the caller sent.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        public: str = "",
        cause: str = "",
        client_id: str = "",
        proven: bool = False,
        data: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code, public or PUBLIC.get(code, "The answer is no."), reason)
        self.cause = cause or code
        self.client_id = client_id
        self.proven = proven
        self.data = data or {}


def invalid(reason: str) -> Refused:
    """A proof that is not what it must be."""
    return Refused("proof-invalid", reason)


def expired(reason: str) -> Refused:
    """A proof outside its time."""
    return Refused("proof-expired", reason)


def too_many(code: str, reason: str) -> Busy:
    """A bound that keeps one caller from harming others has been reached."""
    return Busy(code, "There are too many of these at the moment. Try again in a minute.", reason)
