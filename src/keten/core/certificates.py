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


def fingerprint(pem: bytes) -> str:
    """The SHA-256 fingerprint of the first certificate, as `openssl x509 -fingerprint -sha256` prints it: AB:CD:….

    Raises `ValueError` for what is no certificate.
    """
    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex(":").upper()


def missing(known: Known, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts that a certificate is not for."""
    have = {normal_host(host) for host in known.hosts}
    return tuple(host for host in hosts if normal_host(host) not in have)


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that a certificate is for. Raises `x509.ExtensionNotFound`."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def normal_host(host: str) -> str:
    """A name or address as it stands in a certificate (RFC 5280 §4.2.1.6), so that two forms of one are the same.

    An address without brackets and without a scope, which means something on one machine only (RFC 4007 §11.2); a
    name in lower case, in ASCII (IDNA, RFC 3490), without the root's dot. Malformed text stays malformed.
    """
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        name = host.removesuffix(".")
    else:
        return str(ipaddress.IPv6Address(int(address)) if address.version == 6 else address)
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return name.lower()
