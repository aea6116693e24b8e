"""The steps of what ends or destroys something, as they are told: what was done, and what was not."""

from __future__ import annotations

from typing import Protocol

Step = dict[str, str]


class Content(Protocol):
    """What steps need of those who cut transfers and remove ciphertext."""

    async def cut_steps(self) -> list[Step]:
        """What the last change ended, cut and confirmed."""

    def remove_blobs(self, storage_keys: tuple[str, ...]) -> int:
        """Remove ciphertext whose key is gone already; returns how much stays."""


def step(name: str, detail: str, *, done: bool) -> Step:
    """A step that is done now, or was before."""
    return {"step": name, "outcome": "done" if done else "already", "detail": detail}


def not_done(name: str, detail: str) -> Step:
    """A step that could not be done."""
    return {"step": name, "outcome": "not-done", "detail": detail}


def is_done(steps: list[Step]) -> bool:
    """Whether nothing is left to do."""
    return all(one["outcome"] != "not-done" for one in steps)
