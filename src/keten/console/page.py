"""The overview as HTML: read and rendered when someone asks, at most every few seconds, for all readers at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import msgspec
from markupsafe import Markup

from keten.console import bars, wording
from keten.console.model import Overview, Share
from keten.core.errors import KetenError
from keten.pages.rendering import Frame, message, render
from keten.pages.words import Words
from keten.suppliers.moments import zone

log = logging.getLogger(__name__)

RENDER_SECONDS = 2.0
REFRESH_SECONDS = 5
REST = 4.0  # a reading that takes long is not repeated before so many times as long
SOON_US = 3_600_000_000
ROOM = "console"


class Page(msgspec.Struct, frozen=True):
    """One answer: its HTTP status and its HTML."""

    status: int
    body: bytes


class _Failure(msgspec.Struct, frozen=True):
    """Why there is no overview."""

    text: str


class Pages:
    """The overview in every language. `read`: takes one reading; whatever it raises becomes a page that says so."""

    def __init__(self, read: Callable[[], Overview], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._due = 0.0
        self._found: Overview | _Failure | None = None
        self._made: dict[tuple[Frame, bool], Page] = {}

    def page(self, frame: Frame, *, refreshing: bool) -> Page:
        """The page as it is now, or was a moment ago."""
        with self._lock:
            started = self._monotonic()
            if self._found is None or started >= self._due:
                self._found = self._look()
                self._made = {}
                ended = self._monotonic()
                self._due = max(started + RENDER_SECONDS, ended + REST * (ended - started))
            key = (frame, refreshing)
            if key not in self._made:
                self._made[key] = self._render(self._found, frame, refreshing=refreshing)
            return self._made[key]

    def _look(self) -> Overview | _Failure:
        try:
            return self._read()
        except KetenError as error:
            log.warning("no overview: %s", error)
            return _Failure(error.public)

    def _render(self, found: Overview | _Failure, frame: Frame, *, refreshing: bool) -> Page:
        if isinstance(found, Overview):
            return Page(200, overview(found, frame, refreshing=refreshing))
        words = Words(frame.language, room=ROOM)
        heading = words.gettext("The overview cannot be shown")
        text = words.gettext("The register or the ledger cannot be read now, so nothing is known. Try again later.")
        return Page(503, message(words, frame, heading, text, found.text))


def overview(found: Overview, frame: Frame, *, refreshing: bool) -> bytes:
    """The overview in one language, with what is around it for one reader."""
    words = Words(frame.language, found.zone if zone(found.zone) else "UTC", ROOM)
    shares = found.shares
    return render(
        "overview.html",
        words,
        frame,
        ROOM,
        refreshing=refreshing,
        seconds=REFRESH_SECONDS,
        overview=found,
        totals=totals(shares),
        look=wording.look(words, found.proof.look),
        concerns=[wording.concern(words, one) for one in found.concerns],
        suppliers=list(_suppliers(found, words)),
        accesses=[
            (
                one,
                wording.outcome(words, one),
                wording.TONES[one.progress] if one.progress != "unknown" else "warn",
                wording.much(words, one),
                [words.reason(code) for code in one.reasons],
            )
            for one in found.accesses
        ],
        endings=[
            (one, words.gettext(wording.ROWS.get(one.what, one.what)), wording.ending(words, one))
            for one in found.endings
        ],
    )


class Totals(msgspec.Struct, frozen=True):
    """The figures at the top. open: records that suppliers can fetch; None when that is not known."""

    suppliers_open: int
    open: int | None


def totals(shares: tuple[Share, ...]) -> Totals:
    """Sums over suppliers and datasets; two grants of one dataset to one supplier count once."""
    opened = {(one.supplier_id, one.dataset): one.records for one in shares if one.state == "open"}
    known = [records for records in opened.values() if records is not None]
    return Totals(
        suppliers_open=len({supplier for supplier, _dataset in opened}),
        open=sum(known) if len(known) == len(opened) else None,
    )


def _suppliers(found: Overview, words: Words) -> Iterator[dict[str, Any]]:
    """The lines of the table, by supplier."""
    largest = _largest(found.shares)
    for (_id, title), some in groupby(found.shares, key=lambda one: (one.supplier_id, one.supplier)):
        those = list(some)
        yield {
            "title": title,
            "id": those[0].supplier_id,
            "tier": words.gettext(wording.TIERS.get(those[0].tier, "")) if those[0].tier else "",
            "lines": [_line(one, found.at_us, words, largest) for one in those],
        }


def lines(shares: tuple[Share, ...], at_us: int, words: Words) -> list[dict[str, Any]]:
    """The lines of some shares, such as one supplier's, on a scale of their own."""
    largest = _largest(shares)
    return [_line(one, at_us, words, largest) for one in shares]


def _largest(shares: tuple[Share, ...]) -> int:
    """What the longest bar stands for."""
    fetched = [one.records or 0 for one in shares if one.state == "open"]
    received = [one.received.most or 0 for one in shares if one.received]
    return max([0, *fetched, *received])


def _line(share: Share, at_us: int, words: Words, largest: int) -> dict[str, Any]:
    """What one line shows besides the share itself."""
    fetched = share.records if share.state == "open" else 0
    got = share.received.most if share.received else 0
    left_us = share.until_us - at_us if share.until_us is not None else 0
    running = share.state == "open" and share.since_us is not None and share.until_us is not None and left_us > 0
    files = share.files or 0
    return {
        "share": share,
        "state": words.gettext(wording.STATES[share.state]),
        "tone": wording.TONES[share.state],
        "reasons": [words.reason(code) for code in share.reasons],
        "classification": words.gettext(wording.CLASSES[share.classification]) if share.classification else "",
        "form": words.gettext(wording.FORMS.get(share.form, share.form)) if share.form != "file" else "",
        "files": words.ngettext("in %(count)s file", "in %(count)s files", files) % {"count": words.number(files)},
        "window": wording.window(words, share),
        "bar": bars.amounts(fetched, got, largest),
        "left": words.gettext("%(duration)s left") % {"duration": words.duration(left_us)} if running else "",
        "soon": running and left_us < SOON_US,
        "time": bars.elapsed(share.since_us or 0, share.until_us or 0, at_us) if running else Markup(),
    }
