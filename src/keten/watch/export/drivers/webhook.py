"""A signed webhook, in the form of Standard Webhooks 1.0: one request for each event, in order.

`webhook-id` is the event's uid, the same when it is sent again; the signature is HMAC-SHA256 over
`id.timestamp.body`, with the secret in the token file (`whsec_` and base64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

import msgspec

from keten.core.clock import SECOND, rfc3339, wall_us
from keten.core.destinations import Destination
from keten.core.errors import Invalid
from keten.watch.export.drivers.driver import Record, Settling, read_secret
from keten.watch.export.drivers.web import Web

_PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as Standard Webhooks asks for."""


class WebhookDriver(Settling):
    """A receiver of signed requests."""

    most = 50

    def __init__(self, destination: Destination, home: Path) -> None:
        super().__init__()
        self._web = Web(destination, home)
        self._key = _key(read_secret(home / destination.token_file))

    def send(self, records: Sequence[Record], upto: int) -> None:
        """One request after the other, each answered with 2xx. What came before one that failed comes again."""
        for record in records:
            body = msgspec.json.encode(
                {"type": record.kind, "timestamp": rfc3339(record.time_us), "data": record.event}
            )
            timestamp = str(wall_us() // SECOND)
            headers = {
                "webhook-id": record.uid,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(self._key, record.uid, timestamp, body),
            }
            self._web.post(self._web.path, body, headers)
        self._upto = upto

    def close(self) -> None:
        """Let go of the connection."""
        self._web.close()


def signature(key: bytes, uid: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the HMAC in base64."""
    told = b".".join([uid.encode(), timestamp.encode(), body])
    return "v1," + base64.b64encode(hmac.digest(key, told, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise Invalid("export-secret", "A webhook's secret is whsec_ and base64.") from error
    if not SHORTEST <= len(key) <= LONGEST:
        raise Invalid("export-secret", f"A webhook's secret has {SHORTEST} to {LONGEST} bytes.")
    return key
