"""Amounts as people read them."""

from __future__ import annotations

import math

from keten.watch.model import Fact

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(value: Fact, language: str) -> str:
    """Bytes in powers of a thousand, with the decimal sign of "nl" or else a point; what is no amount is 0."""
    try:
        number = float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
    except OverflowError:
        number = 0.0
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    shown = f"{number:.0f}" if unit == 0 or number >= 100 else f"{number:.1f}"
    return f"{shown.replace('.', ',') if language == 'nl' else shown} {_UNITS[unit]}"
