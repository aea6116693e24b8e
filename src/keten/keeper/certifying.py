"""Certificates for gateways, by the instance's own authority: for keys of theirs, and names that the keeper knows."""

from __future__ import annotations

import time

from keten.core.errors import Busy
from keten.keeper import entries
from keten.keeper.certificates import certify, gateway_hosts, kept_hosts, requested_key
from keten.keeper.protocol import Certificate, CertificateRequest
from keten.keeper.trusted import Trusted
from keten.ledger.model import Draft

MOST = 20
SECONDS = 3600.0


class Certifying:
    """Issues at most `MOST` certificates in `SECONDS`: each is an entry. `hosts`: what they are for by the settings."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._issued: list[float] = []
        self.hosts = gateway_hosts(trusted.settings.gateway)

    async def certify(self, asked: CertificateRequest) -> Certificate:
        """A certificate.

        1. The request is signed by the key that it is about.
        2. Not too many were issued.
        3. It is for what the settings say, and for what the present one is for if that is valid and our authority's:
           a gateway in the wrong hands gets no name that none had.
        4. Recorded before it is handed out.

        Raises `Invalid`; `Busy` ("too-many-certificates").
        """
        trusted = self._trusted
        key = requested_key(asked.request)  # 1
        now = time.monotonic()
        self._issued = [moment for moment in self._issued if now - moment < SECONDS]
        if len(self._issued) >= MOST:  # 2
            raise Busy("too-many-certificates", "Too many certificates were asked for; try again in an hour.")
        self._issued.append(now)
        authority = trusted.authority()
        hosts = tuple(dict.fromkeys((*self.hosts, *kept_hosts(authority, asked.present))))  # 3
        made = certify(authority, key, hosts)
        details = {"hosts": list(hosts), "sha256": made.sha256, "until": made.until}
        draft = Draft(entries.CERTIFICATE_ISSUED, "keeper", details=details)
        await trusted.writer.run(lambda writing: writing.record(draft))  # 4
        return Certificate(made.certificate)
