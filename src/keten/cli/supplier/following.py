"""A supplier follows an instance that was restored: only onto a log that its old key signed for, and knowingly.

What an instance recorded after its last backup is lost when its disk is. The log that goes on from the backup has
another name and key, and says so in the open. Here it is checked that it really goes on from the log that was seen,
and said what of it is missing; nothing is fetched until whoever fetches accepts that.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keten.cli.supplier.logins import Login, Logins, Pending, Seen
from keten.cli.supplier.tiles import HttpTiles, fetched
from keten.cli.supplier.witness import mismatch
from keten.core.errors import Corrupt, Denied, KetenError
from keten.ledger.evidence import encode, file_name, two_successors
from keten.ledger.merkle import consistency_path, verify_consistency
from keten.ledger.notes import Checkpoint, Verifier, parse_checkpoint
from keten.ledger.succession import PREDECESSORS, Predecessor, check_chain, decode

_PROOFS = "It can record again that what is missing existed, from the proofs in"


class Successor(msgspec.Struct, frozen=True):
    """A log that goes on from the one that was seen. `heads`: where each log was continued, that one's first.

    chain: those logs, as it lists them. checkpoint: its newest. kept: what was seen last of the old one, None if
    nothing. missing: own entries that are not in it, as far as they are known here.
    """

    key: str
    chain: tuple[Predecessor, ...]
    heads: tuple[Checkpoint, ...]
    checkpoint: Checkpoint
    kept: Checkpoint | None
    missing: tuple[Pending, ...]

    def told(self) -> str:
        """What it means, in plain words."""
        head = self.heads[0]
        lines = [
            f"This instance was restored from a backup. Its ledger is now {self.checkpoint.origin},",
            f"which goes on from the first {head.size} entries of the one that was seen here before.",
        ]
        if self.kept is not None and self.kept.size > head.size:
            lines.append(f"You had seen {self.kept.size}: the {self.kept.size - head.size} after them are lost there.")
        else:
            lines.append("Everything that you had seen of it is there.")
        if self.missing:
            some = ", ".join(f"{one.index} ({one.entry})" for one in self.missing[:10])
            more = f" and {len(self.missing) - 10} more" if len(self.missing) > 10 else ""
            lines.append(f"Your own entries that are missing: {some}{more}.")
        return "\n".join(lines)


def follow(logins: Logins, login: Login, fetch: Callable[[str], bytes | None], *, accept: bool) -> Login:
    """The login to go on with: this one, or one onto the ledger that goes on from its ledger, if that is accepted.

    A key that cannot be shown to go on from the known one changes nothing here: verifying then fails, with evidence.
    Raises `Denied` ("successor") when there is one and it is not accepted, `Unavailable`, and `Mismatch` with evidence
    when the ledger that was seen, and this one, both go on from one before them: a backup was restored twice.
    """
    key = fetched(fetch, "key.pub").decode("utf-8", "replace").strip()
    if key == login.ledger_key:
        return login
    try:
        found = successor(logins, login, key, fetch)
    except Corrupt as error:
        _refuse_second(logins, login, key, fetch, error)
        return login
    if not accept:
        raise Denied(
            "successor",
            f"{found.told()}\nIf the organisation told you of that, go on with --accept-successor; if not, "
            f"call it at a number that you know.\n{_PROOFS} {logins.proofs(login.ledger_key)}: send it those.",
        )
    with logins.locked(key):
        before = logins.seen(login.ledger_key)
        left = tuple(one for one in before.pending if one.index < found.heads[0].size)
        logins.keep(Seen(key, found.checkpoint.note, left, (*before.before, *found.chain)))
    followed = msgspec.structs.replace(login, ledger_key=key)
    logins.add(followed)
    return followed


def keep_chain(logins: Logins, key: str, fetch: Callable[[str], bytes | None]) -> None:
    """Keep what the ledger with verifier key `key` goes on from, as far as that holds; once it was verified."""
    try:
        chain = _chain(fetch)
        check_chain(chain, key)
    except Corrupt:
        return
    with logins.locked(key):
        logins.keep(msgspec.structs.replace(logins.seen(key), before=chain))


def successor(logins: Logins, login: Login, key: str, fetch: Callable[[str], bytes | None]) -> Successor:
    """The ledger with verifier key `key`, once it is shown to go on from the one that was seen.

    1. Each log from the known one on names, signed by its key, the key of the next, the last one this key.
    2. The new ledger's checkpoint is signed by it, and each head at which a log was continued is the beginning of it.
    3. What was seen of the old ledger is its beginning as well, as far as it reaches.

    Raises `Corrupt` when one of these does not hold, `Unavailable`.
    """
    chain = _chain(fetch)
    at = next((number for number, one in enumerate(chain) if one.key == login.ledger_key), None)
    if at is None:
        raise Corrupt("succession-wrong", "This ledger does not go on from the one that was seen.")
    heads = check_chain(chain[at:], key)  # 1
    try:
        checkpoint = parse_checkpoint(fetched(fetch, "checkpoint"), Verifier.parse(key))  # 2
        tiles = HttpTiles(fetch, checkpoint.size)
        for one in heads:
            _begins(tiles, one, checkpoint)
        seen = logins.seen(login.ledger_key)
        kept = parse_checkpoint(seen.checkpoint, Verifier.parse(login.ledger_key)) if seen.checkpoint else None
        if kept is not None and 0 < kept.size <= heads[0].size:  # 3
            _begins(tiles, kept, checkpoint)
    except Corrupt:
        raise
    except KetenError as error:
        if error.category == "unavailable":
            raise
        raise Corrupt("succession-wrong", "This ledger cannot be followed.", str(error)) from error
    missing = {one.index: one for one in (*logins.proven(login.ledger_key), *seen.pending)}
    lost = tuple(missing[index] for index in sorted(missing) if index >= heads[0].size)
    return Successor(key, chain[at:], heads, checkpoint, kept, lost)


def _chain(fetch: Callable[[str], bytes | None]) -> tuple[Predecessor, ...]:
    """What the instance says that its ledger goes on from; nothing of it is believed yet. Raises `Corrupt`."""
    data = fetch(f"/ledger/{PREDECESSORS}")
    return decode(data) if data is not None else ()


def _refuse_second(
    logins: Logins, login: Login, key: str, fetch: Callable[[str], bytes | None], error: Corrupt
) -> None:
    """Raise `Mismatch`, with evidence, when the log that was seen and this one (`key`) go on from the same one."""
    try:
        chain = _chain(fetch)
        check_chain(chain, key)
    except Corrupt:
        return
    found = two_successors(logins.seen(login.ledger_key).before, chain, by="supplier", source=login.url)
    if found is not None:
        file = logins.evidence(file_name(found), encode(found))
        raise mismatch(login.url, f"{found.what}, and this is not the one that you know", file) from error


def _begins(tiles: HttpTiles, old: Checkpoint, new: Checkpoint) -> None:
    """That `new` begins with what `old` signed, by its tiles. Raises `Corrupt`."""
    if old.size == 0:
        return
    holds = old.size <= new.size and verify_consistency(
        old.size, new.size, consistency_path(old.size, new.size, tiles.hash_at), old.root, new.root
    )
    if not holds:
        raise Corrupt("succession-wrong", "This ledger does not begin with the one that it names.", old.origin)
