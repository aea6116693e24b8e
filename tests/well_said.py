"""Every error that a test meets is one that programs and people can use: a stable code, a sentence, a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from keten.core.errors import KetenError

CODE = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
BEGINS = r"""(?:[A-Z'"\[/<{(]|[\w./-]+:[0-9]+: )"""  # or with FILE:LINE, as editors know it
SENTENCE = re.compile(BEGINS + r""".*(?:[.?!)"']|: .*)""", re.DOTALL)  # or it ends with the name of a file


@pytest.fixture(autouse=True, scope="module")
def errors_are_well_said() -> Iterator[None]:
    """Looks at each error as it is made; a folder of tests imports this in its conftest."""
    made = KetenError.__init__

    def look(self: KetenError, code: str, public: str, reason: str = "", **more: Any) -> None:
        assert CODE.fullmatch(code), code
        assert SENTENCE.fullmatch(public), public
        assert not public.isupper(), public
        assert isinstance(reason, str)
        made(self, code, public, reason, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KetenError, "__init__", look)
        yield
