"""What the OWASP Application Security Verification Standard 5.0.0 asks in three chapters, and what Keten does about it.

Ids and levels are those of the standard (https://github.com/OWASP/ASVS, CC BY-SA 4.0); what is asked is said here in
words of our own, much shorter than there: look there for what it means exactly. `docs/asvs.md` is made from this by
`python -m tests.architecture.asvs.document`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["met", "not met", "does not apply"]


class Requirement(msgspec.Struct, frozen=True):
    """One requirement. asks: in a few words. how: what Keten does. tests: that fail without it, as pytest names them.

    reason: why it is not met, or does not apply. level_3: what it asks more at level 3 and is not met, and why.
    """

    id: str
    level: Literal[1, 2, 3]
    asks: str
    verdict: Verdict
    how: str = ""
    tests: tuple[str, ...] = ()
    reason: str = ""
    level_3: str = ""
