"""Who may read and write the instance's files, how its key is kept, and whether there is room."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.cli.processes import user_name
from keten.core.crypto import is_sealed
from keten.core.db import own_folder

GROUP_READS, OTHERS_READ = stat.S_IRGRP, stat.S_IROTH
OTHERS_WRITE = stat.S_IWOTH
ROOMY = 1 << 30


def key_kept(case: Case) -> Iterator[Finding]:
    """How the root key is kept, and who could read it."""
    path = case.settings.paths.root_key
    kind = case.status.key_kind if case.status else ""
    if not kind and path.exists() and os.access(path, os.R_OK):
        kind = "passphrase" if is_sealed(path.read_bytes()) else "bare"
    if kind == "bare":
        yield weak(
            "key-bare",
            f"The keeper's key lies bare in {path}: whoever copies the disk, or a backup of it, can read every object "
            "and sign a ledger of their own.",
            "Give the key to the service manager as a credential, or make the instance with --passphrase-file.",
        )
    elif not kind:
        yield note("key-unknown", f"How the key is kept can't be seen by this user ({path}).")
    passphrase = case.settings.keeper.passphrase_file
    if passphrase:
        yield from _private(Path(passphrase), "passphrase-file", "the passphrase of the key")
        if Path(passphrase).is_relative_to(case.settings.paths.home):
            yield weak(
                "passphrase-beside-key",
                f"The passphrase {passphrase} lies in the instance itself, beside the key it seals.",
                "Keep it elsewhere, best as a credential of the service manager.",
            )


def modes(case: Case) -> Iterator[Finding]:
    """No one but its owner may read what is private, and nobody else write what is public."""
    paths = case.settings.paths
    private = {
        paths.root_key: "the keeper's key",
        paths.keeper / "authority.sealed": "the authority's key",
        paths.tls_key: "the gateway's TLS key",
        paths.ssh_host_key: "the gateway's SSH host key",
        paths.keeper: "the keeper's folder",
        paths.gateway: "the gateway's folder",
    }
    for path, what in private.items():
        yield from _private(path, "readable-by-others", what)
    own = paths.keeper.stat().st_uid
    for path in (
        paths.home,
        paths.settings,
        paths.database_folder,
        paths.database,
        paths.store,
        paths.ledger,
        paths.run,
    ):
        if not path.exists():
            continue
        found = path.stat()
        if found.st_mode & OTHERS_WRITE:
            yield wrong("writable-by-others", f"Everyone on this machine may write {path}.", f"chmod o-w {path}")
        if path == paths.database_folder and found.st_mode & OTHERS_READ:
            yield weak("database-readable", f"Everyone on this machine may read {path}.", f"chmod o-rx {path}")
        if found.st_uid not in (own, 0):
            yield wrong(
                "owner",
                f"{path} belongs to {user_name(found.st_uid)}, and the keeper runs as {user_name(own)}.",
                f"chown -R {user_name(own)} {path}",
            )


def _private(path: Path, code: str, what: str) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except PermissionError:
        yield note("not-seen", f"{path} can't be seen by this user.")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield wrong(code, f"Others on this machine may read {path}, {what}.", f"chmod go= {path}")


def users(case: Case) -> Iterator[Finding]:
    """The exposed process and the trusted one under users of their own."""
    paths = case.settings.paths
    keeper, gateway = paths.keeper.stat().st_uid, paths.gateway.stat().st_uid
    if keeper == gateway:
        yield weak(
            "one-user",
            f"Keeper and gateway share the user {user_name(keeper)}: someone who breaks into the gateway could read "
            "the keeper's key and the database.",
            "Run the gateway under a user of its own; see the manual, and [keeper] gateway_users.",
        )
    if keeper == 0:
        yield weak("root", "The keeper runs as root, which it does not need.", "Give the instance a user of its own.")


def room(case: Case) -> Iterator[Finding]:
    """Whether there is room, beside what is reserved for revocations."""
    reserve = case.settings.keeper.reserve_bytes
    database = own_folder(case.settings.state) or case.settings.paths.ledger
    for path in dict.fromkeys((database, case.settings.paths.store)):
        free = shutil.disk_usage(path).free
        left = f"{free // (1 << 20)} MiB are free for {path}"
        if free <= reserve:
            yield wrong(
                "disk-full",
                f"{left}: only revocations are still recorded, everything else is refused.",
                "Free some space.",
            )
        elif free < max(ROOMY, 4 * reserve):
            yield weak("disk-low", f"{left}.", "Free some space before accesses are refused.")


def swap(_case: Case) -> Iterator[Finding]:
    """Keys in memory could be written to a swap partition."""
    swaps = Path("/proc/swaps")
    if swaps.exists() and len(swaps.read_text(encoding="utf-8").splitlines()) > 1:
        yield weak(
            "swap",
            "This machine swaps: keys in the keeper's memory may reach the disk.",
            "Encrypt the swap, or swapoff.",
        )
