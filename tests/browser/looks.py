"""The looks in which a screen is tried: language, colours, width. Some in the everyday run, all in the slow one."""

from __future__ import annotations

import pytest

_EVERYDAY = (
    ("nl", "dark", 320),
    ("en", "light", 1280),
)
_REST = (
    ("nl", "light", 1280),
    ("en", "dark", 1280),
    ("en", "light", 320),
    ("nl", "light", 320),
    ("nl", "dark", 1280),
    ("en", "dark", 320),
)

_ONE = _EVERYDAY[0]

every_look = pytest.mark.parametrize(
    ("language", "scheme", "width"), [*_EVERYDAY, *(pytest.param(*one, marks=pytest.mark.slow) for one in _REST)]
)
"""Two of the eight in the everyday run (`make test`), the others in `make slow`."""

one_look = pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [_ONE, *(pytest.param(*one, marks=pytest.mark.slow) for one in (*_EVERYDAY[1:], *_REST))],
)
"""One of the eight, where the screens are few and made of the same parts."""
