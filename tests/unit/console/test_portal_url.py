"""Where a one-time link for somebody of a supplier leads: only where the settings say that the portal is."""

from __future__ import annotations

import pytest

from keten.console.readings.people import portal_url
from keten.core.settings import Listener


@pytest.mark.parametrize(
    ("portal", "url"),
    [
        (Listener(), ""),
        (Listener(bind="off"), ""),
        (Listener(bind="127.0.0.1:8444"), "http://localhost:8444"),
        (Listener(bind="[::1]:8444"), "http://localhost:8444"),
        (Listener(bind="localhost:8444", certificate="c.pem"), "https://localhost:8444"),
        (Listener(bind="127.0.0.1:0"), ""),
        (Listener(bind="0.0.0.0:8444", certificate="c.pem"), ""),
        (Listener(bind="127.0.0.1:8444", public_url="https://portal.example/"), "https://portal.example"),
    ],
)
def test_where_the_portal_is(portal: Listener, url: str) -> None:
    assert portal_url(portal) == url
