"""TLS certificates as their users see them: what one is for, when it ends, asking for another (RFC 5280, RFC 2986)."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from keten.core.errors import Corrupt

RENEWED_BEFORE = timedelta(days=30)


class Known(msgspec.Struct, frozen=True):
    """A certificate that is there: which names and addresses it is for, and when it ends."""

    hosts: tuple[str, ...]
    ends: datetime


def request(key: EllipticCurvePrivateKey) -> bytes:
    """A request (PKCS #10, RFC 2986, DER) for a certificate for a key. It asks for no names: the keeper knows them."""
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return asked.public_bytes(Encoding.DER)


def read(path: Path) -> Known:
    """The first certificate of a PEM file. Raises `OSError`, `Corrupt` ("certificate-damaged")."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        return Known(hosts_of(certificate), certificate.not_valid_after_utc)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Corrupt("certificate-damaged", f"{path} is not a certificate for a server.", str(error)) from error


def missing(known: Known, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts that a certificate is not for."""
    have = {_normal(host) for host in known.hosts}
    return tuple(host for host in hosts if _normal(host) not in have)


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that a certificate is for. Raises `x509.ExtensionNotFound`."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def _normal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return host.lower().rstrip(".")
