"""One language of a face: its texts, and how it writes numbers, moments and durations.

The texts stand in English in templates and code. The other languages are files of each room that has screens
(`locale/<language>/LC_MESSAGES/<room>.po`), read as they are: a face's own, then those of what faces share. A test sees
to it that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime, format_time
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from keten.core.clock import SECOND, rfc3339
from keten.pages.reasons import sentence

LANGUAGES = {"nl": "nl", "en": "en_GB"}
SOURCE = "en"
SHARED = "pages"
DAY = 86_400
_UNITS = ("B", "kB", "MB", "GB", "TB")


def N_(text: str) -> str:  # noqa: N802 - what gettext calls it
    """Mark a text for translation where it stands; it is translated where it is shown."""
    return text


def locales(room: str) -> Path:
    """Where the languages of a room are; room: by its name below `keten`."""
    return Path(__file__).parents[1] / room / "locale"


@cache
def catalogue(language: str, room: str = SHARED) -> Catalog:
    """The texts of a room in a language that is not `SOURCE`."""
    with (locales(room) / language / "LC_MESSAGES" / f"{room}.po").open("rb") as stream:
        return read_po(stream, locale=language)


class Words:
    """A language, with the time zone that moments are shown in. room: the face whose texts these are."""

    def __init__(self, language: str, zone: str = "UTC", room: str = SHARED) -> None:
        self.language = language
        self.locale = Locale.parse(LANGUAGES[language])
        self.zone = ZoneInfo(zone)
        rooms = () if language == SOURCE else dict.fromkeys((room, SHARED))
        self._catalogues = tuple(catalogue(language, one) for one in rooms)

    # ---- texts -----------------------------------------------------------------------------------------------

    def gettext(self, text: str) -> str:
        """A text in this language."""
        for one in self._catalogues:
            found = one.get(text)
            if found is not None and found.string:
                return str(found.string)
        return text

    def ngettext(self, one: str, many: str, count: int) -> str:
        """A text about `count` things."""
        for some in self._catalogues:
            found = some.get(one)
            if found is not None and isinstance(found.string, tuple) and all(found.string):
                return str(found.string[0 if count == 1 else 1])
        return one if count == 1 else many

    def reason(self, code: str) -> str:
        """What a reason code says; long words may be broken where their parts meet."""
        return sentence(code, self.language).replace("verwerkersovereenkomst", "verwerkers\u00adovereenkomst")

    # ---- numbers ---------------------------------------------------------------------------------------------

    def number(self, value: int) -> str:
        """A whole number."""
        return format_decimal(value, locale=self.locale)

    def size(self, count: int) -> str:
        """A number of bytes, in steps of a thousand: 8,4 MB."""
        value = float(count)
        for unit in _UNITS:
            if value < 999.5 or unit == _UNITS[-1]:
                shown = format_decimal(round(value, 1 if value < 10 and unit != "B" else 0), locale=self.locale)
                return f"{shown}\u00a0{unit}"
            value /= 1000
        raise AssertionError  # the last unit returned

    # ---- moments ---------------------------------------------------------------------------------------------

    def moment(self, us: int) -> Markup:
        """A moment to the second, with its zone."""
        return self._time(us, "d MMM y HH:mm:ss z")

    def minute(self, us: int) -> Markup:
        """A moment to the minute, with its zone."""
        return self._time(us, "d MMM y HH:mm z")

    def clock(self, us: int, now_us: int) -> Markup:
        """The time of day of a moment of today, with the day before it where it was another day."""
        same = self._local(us).date() == self._local(now_us).date()
        return self._time(us, "HH:mm:ss" if same else "d MMM HH:mm:ss")

    def day(self, us: int) -> Markup:
        """A moment by its day; with its time to the minute where that is not midnight."""
        local = self._local(us)
        return self._time(us, "d MMM y HH:mm" if (local.hour, local.minute) != (0, 0) else "d MMM y")

    def until(self, us: int) -> Markup:
        """The end of a period, which the moment itself is not in: up to midnight is to the end of the day before."""
        local = self._local(us)
        if (local.hour, local.minute, local.second) != (0, 0, 0):
            return self._time(us, "d MMM y HH:mm:ss")
        day = format_datetime(local - timedelta(seconds=1), "d MMM y", locale=self.locale)
        return _tag(us, self.gettext("to the end of %(day)s") % {"day": day})

    def zone_name(self, us: int) -> str:
        """What the zone is called at that moment: CET."""
        return format_time(self._local(us), "z", tzinfo=self.zone, locale=self.locale)

    def _local(self, us: int) -> datetime:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(self.zone)

    def _time(self, us: int, pattern: str) -> Markup:
        return _tag(us, format_datetime(self._local(us), pattern, tzinfo=self.zone, locale=self.locale))

    def duration(self, us: int) -> str:
        """A duration in its two largest units: 3 days 4 h, 1 min 34 s."""
        left = max(us, 0) // SECOND
        counted: list[tuple[int, Callable[[int], str]]] = [
            (DAY, self._days),
            (3600, lambda count: self.gettext("%(count)s h") % {"count": count}),
            (60, lambda count: self.gettext("%(count)s min") % {"count": count}),
            (1, lambda count: self.gettext("%(count)s s") % {"count": count}),
        ]
        parts: list[str] = []
        for place, (seconds, unit) in enumerate(counted):
            count, rest = divmod(left, seconds)
            if count or (seconds == 1 and not parts):
                parts.append(unit(count))
            left = rest
            if len(parts) == 2 or (parts and place and not count) or (parts and seconds == DAY and count >= 30):
                break
        return " ".join(parts)

    def _days(self, count: int) -> str:
        text = self.ngettext("%(count)s day", "%(count)s days", count)
        return text % {"count": self.number(count)}


def _tag(us: int, shown: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(us), escape(shown))
