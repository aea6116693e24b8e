"""The instance's own authority: TLS certificates for its gateway, unless the organisation brings its own (RFC 5280)."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keten.core.certificates import hosts_of, normal_host
from keten.core.errors import Corrupt, Invalid
from keten.core.settings import Listener

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\Z")
BACKDATED = timedelta(hours=1)  # so that a partner's slightly slow clock accepts it at once
MAX_REQUEST = 4096
_ANYWHERE = {"0.0.0.0", "::", "*", ""}  # noqa: S104  # recognised here, not bound
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Authority(msgspec.Struct, frozen=True):
    """An authority: PEM of its certificate and of its private key (PKCS #8)."""

    certificate: bytes
    key: bytes


class Certified(msgspec.Struct, frozen=True):
    """A certificate and its authority's in PEM. `sha256`: hex fingerprint. `until`: RFC 3339."""

    certificate: bytes
    sha256: str
    until: str


class Issued(msgspec.Struct, frozen=True):
    """A certificate with its authority's, and its key, in PEM."""

    certificate: bytes
    key: bytes


def create_authority(name: str) -> Authority:
    """A new authority, P-256, for ten years; it may issue end-entity certificates only."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Keten instance {name}"[:64])])
    certificate = (
        _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(certificate.public_bytes(Encoding.PEM), _pem(key))


def issue(authority: Authority, hosts: tuple[str, ...]) -> Issued:
    """A key, and a certificate for it as `certify` makes."""
    key = generate_private_key(SECP256R1())
    return Issued(certify(authority, key.public_key(), hosts).certificate, _pem(key))


def certify(authority: Authority, key: EllipticCurvePublicKey, hosts: tuple[str, ...]) -> Certified:
    """A certificate for a TLS server with these names and addresses as its SAN. `Invalid` for a malformed host."""
    if not hosts:
        raise Invalid("hosts", "A certificate needs at least one host name or address.")
    names = [_general_name(host) for host in hosts]
    signer = load_pem_private_key(authority.key, None)
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    if not isinstance(signer, EllipticCurvePrivateKey):
        raise Corrupt("authority-damaged", "The instance's authority key is not the one it was made with.")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    certificate = (
        _builder(subject, issuer.subject, key, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, SHA256())
    )
    return Certified(
        certificate.public_bytes(Encoding.PEM) + authority.certificate,
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_after_utc.isoformat(),
    )


# ---- a gateway's own key: it asks, the authority answers ---------------------------------------------------------


def requested_key(asked: bytes) -> EllipticCurvePublicKey:
    """The key that a request is about: P-256, and the asker has its private half. Raises `Invalid`."""
    try:
        found = x509.load_der_x509_csr(asked) if len(asked) <= MAX_REQUEST else None
        key = found.public_key() if found is not None and found.is_signature_valid else None
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise Invalid("certificate-request", "The request for a certificate is malformed.", str(error)) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Invalid("certificate-request", "The request for a certificate is not signed by its own P-256 key.")
    return key


def gateway_hosts(listener: Listener) -> tuple[str, ...]:
    """The names and addresses by which a gateway is reached: its public URL's host, and the one it binds.

    The machine's own name is not among them: suppliers need not know it.
    """
    public = urlsplit(listener.public_url).hostname if listener.public_url else None
    host = listener.bind.rpartition(":")[0].strip("[]")
    bound = () if not listener.bind else _THIS_MACHINE if host in _ANYWHERE else (host,)
    return tuple(dict.fromkeys(normal_host(name) for name in (public, *bound) if name))


def kept_hosts(authority: Authority, present: bytes) -> tuple[str, ...]:
    """The names of a certificate that this authority issued and that is valid, which its successor keeps.

    None of another's, none of one that has ended: what it was for may be somebody else's now.
    """
    try:
        certificate = x509.load_pem_x509_certificate(present)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
        valid = certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc
        return hosts_of(certificate) if valid else ()
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return ()


# ---- steps -------------------------------------------------------------------------------------------------------


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    name = normal_host(host)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.match(name):
        raise Invalid("hosts", f"{host!r} is not a host name or address.")
    return x509.DNSName(name)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
