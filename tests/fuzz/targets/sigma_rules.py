"""Rules of an organisation's own: those that can be asked of every event, or a reason that a terminal can show."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keten.watch.model import Event, What
from keten.watch.rules.asking import RuleDetector
from keten.watch.rules.loading import MOST_RULES, SHIPPED, load
from tests.fuzz.target import Target

LONGEST_REASON = 2000
WHATS: tuple[What, ...] = ("open", "lookup", "list", "sign-in")
EVENTS = [
    Event(
        index=index,
        id=f"e{index}",
        time_us=1_767_225_600_000_000 + index,
        what=what,
        allowed=index % 2 == 0,
        principal="p",
        supplier="s",
        network="n",
        country="NL",
        records=900,
        reasons=("budget-spent",),
    )
    for index, what in enumerate(WHATS)
]


def check(data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yml"
        path.write_bytes(data)
        loaded = load([path])
    assert len(loaded.rules) <= MOST_RULES
    for refused in loaded.refused:
        assert refused.reason, "it says why"
        assert len(refused.reason) <= LONGEST_REASON
        assert refused.reason.isprintable(), "what a file holds does nothing to a terminal"
    for rule in loaded.rules:
        detector = RuleDetector(rule)
        states = [detector.state(), detector.state()]
        said = [[detector.step(state, event) for event in EVENTS] for state in states]
        assert said[0] == said[1], "the same events, the same signals"
    return bool(loaded.rules)


TARGET = Target(
    "sigma-rules",
    check,
    lambda: [path.read_bytes() for path in sorted(SHIPPED.glob("*.yml"))[:4]],
    words=(
        *(b"&a ", b"*a", b"- ", b"---\n", b"1 of sel*", b"all of them", b"not ", b" and ", b" or ", b"(" * 8, b")" * 8),
        *(
            b"|contains",
            b"|re",
            b"|all",
            b"|lt",
            b"|exists",
            b"correlation:\n",
            b"  type: value_sum\n",
            b"timespan: 1s",
        ),
        *(
            b"condition: ",
            b"detection:\n",
            b"level: high\n",
            b"null",
            b"0001-01-01",
            b"\xe2\x80\xa8",
            b"\x1b[31m",
            b"9" * 30,
        ),
    ),
    longest=4000,
    calls=(3000, 2_000_000),
    memory=(2000, 16 << 20),
)
