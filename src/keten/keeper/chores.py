"""What the keeper does by itself: enforce retention, watch the clock, record counted refusals, sweep after puts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from keten.budgets import service as budgets
from keten.core.db import translated
from keten.core.errors import KetenError
from keten.keeper import entries
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.operator_verbs import OperatorVerbs
from keten.keeper.people import People
from keten.keeper.recoveries import Recoveries
from keten.keeper.reminding import Reminding
from keten.keeper.trusted import UNCONFIRMED, Trusted
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.subjects.holds import held_datasets
from keten.suppliers import recertifying
from keten.vault import sweeping

log = logging.getLogger(__name__)
CLOCK_SECONDS = 1.0
RETENTION_SECONDS = 15.0
REFUSALS_SECONDS = 10.0
SWEEP_SECONDS = 6 * 3600.0
REQUESTS_SECONDS = 30.0
CARRY_SECONDS = 60.0
NETWORKS_SECONDS = 30.0
SESSIONS_SECONDS = 10.0
RECOVERY_SECONDS = 2.0
RIGHTS_SECONDS = 300.0
REMIND_SECONDS = 3600.0


class Chores:
    """Repeating work of the keeper, each on its own rhythm; a failure is logged and tried again."""

    def __init__(
        self,
        trusted: Trusted,
        gateways: GatewayVerbs,
        operators: OperatorVerbs,
        people: People,
        recoveries: Recoveries,
    ) -> None:
        self._trusted = trusted
        self._gateways = gateways
        self._operators = operators
        self._people = people
        self._recoveries = recoveries
        self._reminding = Reminding(trusted)
        self._tasks: list[asyncio.Task[None]] = []
        self._soon: set[asyncio.Task[str]] = set()
        self._jump_told = ""
        self._ahead_told = False

    def start(self) -> None:
        """Begin."""
        for seconds, work in (
            (CLOCK_SECONDS, self.watch_clock),
            (RETENTION_SECONDS, self.enforce_retention),
            (REFUSALS_SECONDS, self.flush_refusals),
            (SWEEP_SECONDS, self.sweep),
            (REQUESTS_SECONDS, self._operators.subjects.go_on),
            (CARRY_SECONDS, self.carry),
            (NETWORKS_SECONDS, self.read_networks),
            (SESSIONS_SECONDS, self.end_sessions),
            (RECOVERY_SECONDS, self._recoveries.go_on),
            (RIGHTS_SECONDS, self.end_unconfirmed),
            (REMIND_SECONDS, self._reminding.go_on),
        ):
            self._tasks.append(asyncio.ensure_future(self._repeat(seconds, work)))

    def stop(self) -> None:
        """No more."""
        for task in (*self._tasks, *self._soon):
            task.cancel()

    def changed(self, stopped: Mapping[str, str]) -> None:
        """The register changed: what ended is cut (`GatewayVerbs.changed`), and sessions of people end with it."""
        self._gateways.changed(stopped)
        if stopped:
            task = asyncio.ensure_future(self._once(self.end_sessions))
            self._soon.add(task)
            task.add_done_callback(self._soon.discard)

    async def finish(self) -> None:
        """What must not wait for the next start."""
        await self._once(self.flush_every_refusal)

    async def _repeat(self, seconds: float, work: object) -> None:
        told = UNCONFIRMED  # the operator who restored it knows, and status, doctor and the overview say so
        while True:
            told = await self._once(work, told)
            await asyncio.sleep(seconds)

    async def _once(self, work: object, told: str = "") -> str:
        """Do it; the code of what it waits for, "" for nothing. `told`: that code as it was logged, which is enough."""
        try:
            await work()  # type: ignore[operator]
        except KetenError as error:
            if error.code != told:
                log.warning("a chore waits: %s", error)
            return error.code
        except Exception:
            log.exception("a chore failed")
        return ""

    async def read_networks(self) -> None:
        """Lists of bad networks change every day: use what is in the files."""
        await asyncio.to_thread(self._trusted.networks.refresh)

    async def end_sessions(self) -> None:
        """Sessions of people that are over, or whose person may not be there any more, leave memory and database.

        Each request of a person looks for itself: this only tidies up.
        """
        await self._people.sweep()

    async def watch_clock(self) -> None:
        """A jump is seen within a second, also when nobody asks for anything: everything under way is cut (law 5)."""
        clock = self._trusted.clock
        try:
            clock.now()
        except KetenError:
            if clock.jumped != self._jump_told:
                what = clock.jumped
                self._gateways.push_cut((), (), "clock-jumped", everything=True)
                draft = Draft(entries.CLOCK_JUMPED, "keeper", details={"what": what})
                await self._trusted.writer.run(lambda writing: writing.record(draft), essential=True)
                self._jump_told = what
        else:
            self._jump_told = ""

    async def enforce_retention(self) -> None:
        """Content past its retention is destroyed: its key first, with an entry, then its ciphertext.

        What a legal hold is on stays; so does everything when a hold's row does not match the ledger. Nothing is
        destroyed while time is that of a clock which was far ahead: what is destroyed does not come back.
        """
        trusted = self._trusted
        now = trusted.clock.now()
        while not self._is_far_ahead():
            with trusted.reader.connect() as reading:
                if not sweeping.expired_objects(reading, now, 1, held_datasets(reading, now)):
                    return
            swept, _batch = await trusted.writer.run(
                lambda writing: sweeping.destroy_expired(writing, now, held=held_datasets(writing.connection, now)),
                alone=True,
                essential=True,
            )
            for damaged in swept.damaged:
                log.critical("object %s is past its retention, but its row does not match the ledger", damaged)
            self._operators.remove_blobs(swept.removed)
            if not swept.objects:
                return

    def _is_far_ahead(self) -> bool:
        """Whether what ends by time must stay for now; told once, here and by `keten doctor`."""
        ahead = self._trusted.clock.is_far_ahead()
        if ahead and not self._ahead_told:
            log.critical("the newest entry is of a clock that was far ahead: nothing is destroyed for its age")
        self._ahead_told = ahead
        return ahead

    async def flush_refusals(self) -> None:
        """Refusals that were counted become entries."""
        await self._record_refusals(everything=False)

    async def flush_every_refusal(self) -> None:
        """Those of the present minute, too."""
        await self._record_refusals(everything=True)

    async def _record_refusals(self, *, everything: bool) -> None:
        drafts = self._trusted.sign_ins.due(everything=everything)
        outside = self._trusted.clock.outside()
        drafts += self._trusted.person_refusals.flush(outside, everything=everything)
        if drafts:

            def run(writing: Writing) -> int:
                for draft in drafts:
                    writing.record(draft)
                return len(drafts)

            # They are few, and taken out of the counting already: also on a disk that is nearly full.
            await self._trusted.writer.run(run, essential=True)

    async def carry(self) -> None:
        """A backup that is within reach again gets what ended meanwhile, and loses the keys of what was erased."""
        self._trusted.carrying.wake()

    async def end_unconfirmed(self) -> None:
        """Grants that nobody has confirmed for a month after they lapsed end for good. They give nothing meanwhile.

        Nothing is ended while time is that of a clock which was far ahead: what has ended does not come back.
        """
        trusted = self._trusted
        if self._is_far_ahead():
            return
        while await asyncio.to_thread(self._overdue):
            await trusted.writer.run(lambda writing: recertifying.end_unconfirmed(writing, "keeper"), alone=True)

    def _overdue(self) -> bool:
        with translated(), self._trusted.reader.connect() as reading:
            return recertifying.overdue(reading, self._trusted.clock.recording_time())

    async def sweep(self) -> None:
        """Ciphertext that no object and no running put refers to (a process was killed in between) is removed."""
        trusted = self._trusted
        if not self._is_far_ahead():
            await self._drop_old(trusted.clock.recording_time())
        while True:
            swept, _batch = await trusted.writer.run(sweeping.destroy_keyless, alone=True)
            self._operators.remove_blobs(swept.removed)
            if not swept.objects:
                break
        orphans = await asyncio.to_thread(lambda: tuple(sweeping.orphans(trusted.reader, trusted.store)))
        self._operators.remove_blobs(orphans)

    async def _drop_old(self, now_us: int) -> None:
        """Puts that were begun long ago and never finished, and charges of windows that are over."""
        trusted = self._trusted
        removed, _batch = await trusted.writer.run(
            lambda writing: sweeping.abandon_puts(writing, now_us - sweeping.ABANDONED_AFTER_US), alone=True
        )
        self._operators.remove_blobs(removed)
        organisation = trusted.register.organisation()
        if organisation is not None:
            await trusted.writer.run(
                lambda writing: budgets.drop_old(writing, now_us, organisation.timezone), alone=True
            )
