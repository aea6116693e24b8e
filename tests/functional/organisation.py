"""An instance whose staff sign in through a provider; browsers that go there and come back."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from keten.core.db import reading_engine
from keten.drills.throwaway import Throwaway
from keten.keeper.client import KeeperClient
from keten.keeper.provider_protocol import AskProvider, ProviderState
from keten.ledger.reading import read_range
from tests.openid import CLIENT
from tests.visitor import Answer, Visitor

STAFF = {"anna": "administrator", "bert": "security-officer", "carla": "auditor", "gone": "auditor", "wim": "auditor"}
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
""" + "".join(f"  - {{id: {name}, email: {name}@rijnstad.example, roles: [{role}]}}\n" for name, role in STAFF.items())
ESTATE += """
suppliers:
  - {id: drukker, name: Drukkerij, country: NL, tier: high, people: [{id: dora, email: dora@drukker.example}]}
"""
_ONWARD = re.compile(r'<a href="([^"]+)" rel="noreferrer">')


@contextmanager
def instance(folder: Path, issuer: str, more: str = "") -> Iterator[Throwaway]:
    """One that runs, with people. more: further lines of `[oidc]`."""
    folder.mkdir(exist_ok=True)
    settings = f'[watch]\nenabled = false\n[oidc]\nissuer = "{issuer}"\nclient_id = "{CLIENT}"\n{more}\n'
    with Throwaway(folder, settings=settings) as made:
        made.up("--gateway", "off", "--sftp", "off")
        made.apply(ESTATE)
        yield made


def state(made: Throwaway) -> ProviderState:
    """What the keeper says of the provider."""
    with KeeperClient(made.paths.operator_socket) as client:
        return client.call("people.provider", AskProvider(), ProviderState)


def out(visitor: Visitor, then: str = "/keys") -> str:
    """To the provider: the address that the page leads on to, by itself as by its link."""
    page = visitor.get("/en/sign-in")
    answer = visitor.send("/en/sign-in/organisation", token=page.token, next=then)
    assert answer.status == 200, answer.text
    (link,) = _ONWARD.findall(answer.text)
    assert answer.headers["refresh"] == f"0; url={html.unescape(link)}"
    return html.unescape(link)


def back(visitor: Visitor, url: str) -> Answer:
    """From the provider, to where it sent the browser."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == visitor.origin
    return visitor.get(f"{parts.path}?{parts.query}", Accept_Language="en")


def asked(url: str) -> dict[str, str]:
    """What Keten asks of the provider."""
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def signed_in(visitor: Visitor) -> bool:
    """Whether the browser's session holds."""
    return visitor.get("/en/keys").status == 200


def entries(made: Throwaway, kind: str) -> list[dict[str, Any]]:
    """The ledger's entries of a kind: who did it, about whom, and what it says."""
    engine = reading_engine(made.place)
    with engine.connect() as connection:
        found = [one for one in read_range(connection, 0, 100_000) if one.kind == kind and one.payload is not None]
    engine.dispose()
    return [
        {
            "actor": one.payload.actor,
            "subjects": list(one.payload.subjects),
            **json.loads(json.dumps(one.payload.details)),
        }
        for one in found
        if one.payload is not None
    ]
