"""The gateway's TLS certificate: whether it fits and holds long enough, and a new one from the keeper when not."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from keten.cli.output import say
from keten.core.errors import Corrupt
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.protocol import Certificate, CertificateFor

RENEWED_BEFORE = timedelta(days=30)


class Known(msgspec.Struct, frozen=True):
    """The certificate that is there: which names and addresses it is for, and when it ends."""

    hosts: tuple[str, ...]
    ends: datetime


def read(path: Path) -> Known:
    """The first certificate of a PEM file. Raises `OSError`, `Corrupt` ("certificate-damaged")."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [
            *names.get_values_for_type(x509.DNSName),
            *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        ]
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Corrupt("certificate-damaged", f"{path} is not a certificate for a server.", str(error)) from error
    return Known(tuple(found), certificate.not_valid_after_utc)


def missing(known: Known, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts that a certificate is not for."""
    have = {_normal(host) for host in known.hosts}
    return tuple(host for host in hosts if _normal(host) not in have)


def renew(settings: Settings, keeper: KeeperClient, hosts: tuple[str, ...]) -> bool:
    """Get a new certificate where the present one lacks a host or ends within 30 days; whether that was done.

    An organisation's own certificate is its own to renew.
    """
    if settings.gateway.certificate:
        return False
    try:
        known = read(settings.paths.tls_certificate)
    except (FileNotFoundError, Corrupt):
        known = Known((), datetime.now(UTC))
    lacking = missing(known, hosts)
    if not lacking and known.ends - datetime.now(UTC) > RENEWED_BEFORE and settings.paths.tls_key.exists():
        return False
    from keten.keeper.instance import write_certificate

    wanted = tuple(dict.fromkeys((*hosts, *known.hosts)))
    made = keeper.call("keeper.certificate", CertificateFor(wanted), Certificate)
    write_certificate(settings.paths.gateway, made.certificate, made.key)
    say(f"A new certificate for the gateway: {', '.join(wanted)}.")
    return True


def _normal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return host.lower().rstrip(".")
