"""The TLS certificate that the gateway shows: one of the organisation's own, or by the instance's own authority.

The instance's own: the gateway makes the key and keeps it, the keeper signs. A new one is got before the old one ends,
and whatever changed on the disk is taken up, while connections go on.
"""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keten.core.certificates import RENEWED_BEFORE, missing, read, request
from keten.core.errors import Corrupt, Invalid, KetenError
from keten.core.files import Files
from keten.core.settings import Listener, Settings
from keten.gateway.link import KeeperLink
from keten.gateway.server import tls_context
from keten.keeper.protocol import Certificate, CertificateRequest

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class ShownCertificate:
    """The certificate and its key, of the gateway, or of another `listener` that has its own.

    `context` is None until there is one that can be used.
    Raises `Invalid` ("certificate") for one of the organisation's own that cannot.
    """

    def __init__(self, settings: Settings, listener: Listener | None = None) -> None:
        own, paths = listener or settings.gateway, settings.paths
        self._ours = not own.certificate
        self._certificate = paths.tls_certificate if self._ours else Path(own.certificate)
        self._key = paths.tls_key if self._ours else Path(own.certificate_key)
        self._seen: object = None
        self.context: ssl.SSLContext | None = None
        try:
            self._load()
        except Invalid as error:
            if not self._ours:
                raise
            log.warning("%s", error)

    async def look(self, link: KeeperLink) -> bool:
        """Take up what changed on the disk, and get a new certificate where it is time; whether `context` is new.

        Raises what the keeper raises only when there is no certificate at all.
        """
        before = self.context
        try:
            why = ""
            if self._files() != self._seen:
                try:
                    self._load()
                except Invalid as error:
                    if not self._ours:
                        raise
                    why = error.public
            why = why or self._lacks(link)
            if self._ours and why:
                await self._renew(link, why)
        except (KetenError, OSError) as error:
            if self.context is None:
                raise
            log.warning("the TLS certificate stays as it is: %s", error)
        return self.context is not before

    def _load(self) -> None:
        seen = self._files()  # before: what changes meanwhile is seen the next time
        self.context = tls_context(self._certificate, self._key)
        self._seen = seen

    def _files(self) -> object:
        """What tells one state of both files from another; also that they are not there."""
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return None
        return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in found]

    def _lacks(self, link: KeeperLink) -> str:
        """Why a new certificate is needed; empty when it is not."""
        if self.context is None:
            return "there is none that can be used"
        try:
            known = read(self._certificate)
        except (OSError, Corrupt) as error:
            return str(error)
        if known.ends - datetime.now(UTC) < RENEWED_BEFORE:
            return f"it ends on {known.ends:%Y-%m-%d}"
        lacking = missing(known, link.welcome.hosts if link.welcome else ())
        return f"it is not for {', '.join(lacking)}" if lacking else ""

    async def _renew(self, link: KeeperLink, why: str) -> None:
        """A new key, and a certificate for it by the keeper; both on the disk before they are shown.

        After a crash between the two files they do not fit each other, which is seen at the start.
        """
        key = generate_private_key(SECP256R1())
        present = self._certificate.read_bytes() if self._certificate.exists() else b""
        made: Certificate = await link.call("keeper.certificate", CertificateRequest(request(key), present))
        files = Files()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.write(self._key, pem, mode=0o600)
        files.write(self._certificate, made.certificate)
        self._load()
        log.info("a new TLS certificate: %s", why)
