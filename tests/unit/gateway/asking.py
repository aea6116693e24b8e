"""Asking a gateway over HTTPS, from threads, while it runs in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from keten.drills.supplier import Answer
from tests.unit.gateway.fake import Content, Scene

T = TypeVar("T")


async def in_thread(act: Callable[..., T], *arguments: Any, **options: Any) -> T:
    return await asyncio.to_thread(act, *arguments, **options)


async def get(scene: Scene, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    """A request with token and proof."""
    supplier = scene.supplier()
    return await in_thread(supplier.ask, method, path, supplier.authorised(method, path, headers))


def path_of(content: Content) -> str:
    return f"/v1/objects/{content.info.id}"
