"""Carrying out an approved erasure: in steps that each hold by themselves, and go on at the next start when killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.known_backups import KnownBackups
from keten.keeper.steps import Content, Step, not_done, step
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.writing import Writing
from keten.revocation import service as revocation
from keten.subjects import erasing
from keten.subjects.erasing import Copies, Traces
from keten.subjects.model import Request

SETTLE_SECONDS = 5.0


class Erasing:
    """Erases one subject at a time."""

    def __init__(self, trusted: Trusted, gateways: GatewayVerbs, content: Content) -> None:
        self._trusted = trusted
        self._gateways = gateways
        self._content = content
        self.copies: Copies = KnownBackups(trusted)

    async def erase(self, request: Request, beside: Sequence[str], *, whole: bool) -> tuple[list[Step], str]:
        """Erase the subject of an approved request; the steps, and the last entry ("" when a step is not done).

        1. End its access, and cut what is under way; its ends are recorded before the key is gone.
        2. Destroy its key and what its row says.
        3. Destroy the payloads, some at a time, each time with the entry that names them.
        4. Leave nothing of them in the database's files.
        5. Have copies of before made unreadable.
        6. Record that it is done, by whom, and what could not be reached.

        whole: nothing was begun in an earlier process, so all that went is known. beside: copies of the database.
        """
        trusted = self._trusted
        trusted.door.fresh()
        steps = await self._ended(request)  # 1
        traces = Traces()
        row, _batch = await trusted.writer.run(  # 2
            lambda writing: erasing.forget(writing, trusted.keys, request, traces), alone=True
        )
        trusted.keys.forget_subject(request.target)  # again: a request under way may have opened it until the commit
        steps.append(step("key", "the subject's key is destroyed, and what its row said is gone", done=row))
        whole = whole and row
        payloads = 0
        while True:  # 3
            some, _batch = await trusted.writer.run(
                lambda writing: erasing.erase_some(writing, request, traces), alone=True
            )
            if not some:
                break
            payloads += some
        steps.append(step("payloads", f"destroyed: {payloads}", done=payloads > 0))
        beyond: list[str] = []
        if not trusted.writer.reaches:  # 4
            beyond.append(trusted.writer.remains)
            steps.append(not_done("files", trusted.writer.remains))
        elif await trusted.writer.scrub(traces.needles if whole else None):
            steps.append(step("files", "nothing of it is left in the database's files", done=True))
        else:
            detail = "the database's files may still hold some of it; the keeper tries again every half minute"
            return [*steps, not_done("files", detail)], ""
        away = await asyncio.to_thread(self.copies.renew_keys)  # 5
        steps += [not_done("backups", told) for told in away]
        if not away and await asyncio.to_thread(self.copies.any):
            steps.append(step("backups", "no backup that is known opens it any more", done=True))
        steps += [not_done("copies", f"db/{name} holds it as it was: remove it") for name in beside]
        unreached = [*beyond, *away, *(f"db/{name}" for name in beside)]
        unreached += await asyncio.to_thread(self.copies.gone)
        with trusted.reader.connect() as reading:
            stays = erasing.kept(reading, request)
        _request, batch = await trusted.writer.run(  # 6
            lambda writing: erasing.finish(writing, request, stays, unreached), alone=True
        )
        entry = batch.sealed[0].id if batch is not None else ""
        steps.append(step("entry", f"recorded, entry {entry}", done=True))
        return steps, entry

    async def _ended(self, request: Request) -> list[Step]:
        """Step 1."""
        trusted = self._trusted

        def run(writing: Writing) -> revocation.Ended:
            erasing.require_free(writing.connection, request.target, writing.time_us)
            return revocation.end(writing, request.kind, request.target, "to be erased", request.approver)

        ended, batch = await trusted.writer.run(run, alone=True, essential=True)
        if ended.index is None:
            self._gateways.changed()  # a gateway that did not confirm the first time is told again
            done = [step("register", "ended before", done=False)]
        else:
            done = [step("register", f"ended, entry {sealed_in(batch, ended.index).id}", done=True)]
        done += await self._content.cut_steps()
        deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while any(one.client == request.target for one in trusted.accesses):
            if asyncio.get_running_loop().time() > deadline:
                break  # its end is recorded when its gateway says so, or as unknown: neither holds anything personal
            await asyncio.sleep(0.02)
        return done
