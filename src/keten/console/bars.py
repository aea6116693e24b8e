"""Small bars as SVG, made here: they show what the table beside them says in numbers, and nothing more."""

from __future__ import annotations

from markupsafe import Markup

WIDTH = 200
_LEAST = 2.0  # what is not nothing can be seen


def amounts(can_fetch: int | None, received: int | None, largest: int) -> Markup:
    """Two bars on one scale: records that can be fetched, records that were received; nothing where both are 0."""
    if largest <= 0 or not (can_fetch or received):
        return Markup()
    return _svg(
        20,
        Markup(
            '<rect class="track" x="0" y="1" width="{0}" height="8"/><rect class="track" x="0" y="11" '
            'width="{0}" height="8"/>'
        ).format(WIDTH)
        + _rect("can-fetch", 1, can_fetch or 0, largest)
        + _rect("received", 11, received or 0, largest),
    )


def elapsed(from_us: int, until_us: int, now_us: int) -> Markup:
    """How much of a period is over; nothing for one that makes no sense."""
    if until_us <= from_us:
        return Markup()
    over = min(max(now_us - from_us, 0), until_us - from_us)
    track = Markup('<rect class="track" x="0" y="1" width="{}" height="6"/>').format(WIDTH)
    return _svg(8, track + _rect("elapsed", 1, over, until_us - from_us, height=6))


def _rect(name: str, top: int, value: int, largest: int, height: int = 8) -> Markup:
    if value <= 0:
        return Markup()
    width = max(min(value / largest, 1.0) * WIDTH, _LEAST)
    return Markup('<rect class="{}" x="0" y="{}" width="{:.1f}" height="{}"/>').format(name, top, width, height)


def _svg(height: int, inside: Markup) -> Markup:
    head = Markup(
        '<svg class="bar" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
    ).format(WIDTH, height)
    return head + inside + Markup("</svg>")
