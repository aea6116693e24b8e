"""How far countries are apart, at least: between the nearest of the places that the time-zone database has of them.

Its `zone.tab` (public domain, in the package `tzdata`) gives one place for each zone of each country, 418 in all. Most
borders are nearer than such places, so what is said here is an estimate; whoever judges by it leaves a wide margin.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib import resources

_EARTH_KM = 6371.0
_PLACE = re.compile(r"([+-])(\d{2})(\d{2})(\d{2})?([+-])(\d{3})(\d{2})(\d{2})?\Z")


@cache
def kilometres(one: str, other: str) -> float:
    """Between the nearest places of two countries (ISO 3166 letters); 0 when one of them is not known."""
    if one > other:
        return kilometres(other, one)
    places = _places()
    pairs = [_between(here, there) for here in places.get(one, ()) for there in places.get(other, ())]
    return min(pairs, default=0.0)


@cache
def _places() -> dict[str, list[tuple[float, float]]]:
    """Country → places as latitude and longitude in radians."""
    found: dict[str, list[tuple[float, float]]] = {}
    text = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        country, _, rest = line.partition("\t")
        match = _PLACE.match(rest.partition("\t")[0])
        if match is not None and not line.startswith("#"):
            found.setdefault(country, []).append((_radians(*match.groups()[:4]), _radians(*match.groups()[4:])))
    return found


def _radians(sign: str, degrees: str, minutes: str, seconds: str | None) -> float:
    value = int(degrees) + int(minutes) / 60 + int(seconds or 0) / 3600
    return math.radians(-value if sign == "-" else value)


def _between(here: tuple[float, float], there: tuple[float, float]) -> float:
    """The great circle, by haversines."""
    (north, east), (other_north, other_east) = here, there
    half = math.sin((north - other_north) / 2) ** 2
    half += math.cos(north) * math.cos(other_north) * math.sin((east - other_east) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, half)))
