"""What a restore is asked for, and whether a backup can be trusted with it: step 1 of `restoring.restore`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from keten.backup.ended import Read
from keten.backup.model import Keys, Manifest
from keten.core.crypto import KEY_BYTES, is_sealed, open_by_passphrase
from keten.core.errors import Corrupt, Invalid
from keten.keeper.rootkey import RootKey
from keten.keeper.trusted import ledger_signer
from keten.ledger.notes import Checkpoint, Verifier, parse_checkpoint


class Wish(msgspec.Struct, frozen=True):
    """How an operator wants it restored.

    identities: what opens it. passphrase: of a sealed root key. root: the root key itself, where a service manager held
    it. key: the verifier key that the ledger must have; "" for whatever the backup says. budgets: whether running
    windows count as spent. moved: it is a planned move, and the same log goes on. hosts: names for the certificate.
    actor: who does it.
    """

    identities: tuple[Any, ...]
    actor: str
    hosts: tuple[str, ...]
    passphrase: bytes = b""
    root: bytes = b""
    key: str = ""
    budgets: Literal["spent", "kept"] = "spent"
    moved: bool = False


def check_wish(manifest: Manifest, wish: Wish) -> None:
    """What is asked for fits the backup. Raises `Corrupt` ("key-other"), `Invalid` ("not-moved", "identity")."""
    if wish.key and wish.key.strip() != manifest.key:
        raise Corrupt("key-other", "The backup is of another ledger than the key that was given.", manifest.key)
    if wish.moved and not manifest.moved:
        raise Invalid(
            "not-moved",
            "This backup was not made to move an instance, so the one that it was made of may go on. "
            "Restore it without --move: then its ledger has a successor.",
        )
    if manifest.recipients and not wish.identities:
        raise Invalid("identity", "The backup is encrypted: give the identity that opens it, --identity FILE.")


def root_key(keys: Keys, wish: Wish) -> RootKey:
    """The root key, in the form in which the instance had it. Raises `Invalid`, `Denied` ("wrong-passphrase")."""
    if keys.root_kind == "credential":
        if len(wish.root) != KEY_BYTES:
            public = f"The keeper's key was the service manager's credential: give its {KEY_BYTES} bytes (--root-key)."
            raise Invalid("root-key", public)
        return RootKey(wish.root, "credential")
    if not is_sealed(keys.root):
        return RootKey(keys.root, "bare")
    if not wish.passphrase:
        raise Invalid("passphrase", "The root key is sealed by a passphrase: --passphrase-file FILE.")
    return RootKey(open_by_passphrase(keys.root, wish.passphrase), "passphrase")


def require_vouched(ended: Read, manifest: Manifest) -> None:
    """The data part is the one that the keeper vouched for. Raises `Corrupt` ("backup-damaged")."""
    if ended.data and ended.data != manifest.data:
        public = "The data of the backup is not what the instance wrote into it; nothing is restored."
        raise Corrupt("backup-damaged", public, f"{manifest.data} instead of {ended.data}")


def head_of(manifest: Manifest, root: RootKey) -> Checkpoint:
    """The head in the manifest, which must be signed by the key that the root key gives: so they belong together."""
    if ledger_signer(root, manifest.origin).verifier_key() != manifest.key:
        raise Corrupt("backup-damaged", "The key in the backup is not that of its ledger.", manifest.origin)
    head = parse_checkpoint(manifest.note, Verifier.parse(manifest.key))
    if head.size != manifest.size:
        raise Corrupt("backup-damaged", "The backup's manifest does not fit its signed head.", str(head.size))
    return head
