"""The campaigns by name, short ones first."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import msgspec

from tests.fault.campaigns.keeping import Cases


class Campaign(msgspec.Struct, frozen=True):
    """`says`: what it does. `count`: cases of a full campaign. `module`: where its function `cases` is."""

    says: str
    count: int
    module: str

    def load(self) -> Cases:
        """Its function."""
        return cast("Cases", import_module(self.module).cases)


CAMPAIGNS = {
    "errors": Campaign("system calls that fail once, each in turn", 100_000, "tests.fault.errors.campaign"),
    "torn": Campaign("every state that a disk may hold after a crash", 5_000, "tests.fault.torn.campaign"),
    "power": Campaign("power cuts under a file system of its own (root)", 2_000, "tests.fault.power.campaign"),
    "damage": Campaign("damages that must be noticed", 10_000, "tests.fault.damage.campaign"),
    "kills": Campaign("kill -9 of every process", 10_000, "tests.fault.kills.campaign"),
    "soak": Campaign("64 clients for an hour, with faults", 1, "tests.fault.soak.campaign"),
}
