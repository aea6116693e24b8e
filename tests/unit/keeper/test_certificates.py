"""The instance's own authority: what it issues is for a server, for exactly these hosts, and by nobody else."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from keten.core.certificates import missing, read, request
from keten.core.errors import Corrupt, Invalid
from keten.core.settings import Listener, Settings
from keten.keeper import certificates
from keten.keeper.authority import load_authority, save_authority
from keten.keeper.certificates import (
    Authority,
    certify,
    create_authority,
    gateway_hosts,
    issue,
    kept_hosts,
    requested_key,
)
from keten.keeper.rootkey import RootKey

HOSTS = ("files.example.org", "127.0.0.1", "::1", "büro.example")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return create_authority("test")


def test_what_the_authority_may(authority: Authority) -> None:
    found = x509.load_pem_x509_certificate(authority.certificate)
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    found.verify_directly_issued_by(found)


def test_what_is_issued(authority: Authority) -> None:
    made = issue(authority, HOSTS)
    own, issuer = x509.load_pem_x509_certificates(made.certificate)
    assert issuer == x509.load_pem_x509_certificate(authority.certificate)
    own.verify_directly_issued_by(issuer)
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["files.example.org", "xn--bro-hoa.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    uses = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]
    now = datetime.now(UTC)
    assert own.not_valid_before_utc < now - timedelta(minutes=30)
    assert now + timedelta(days=300) < own.not_valid_after_utc < now + timedelta(days=398)
    key = generate_private_key(SECP256R1())
    certified = certify(authority, key.public_key(), HOSTS)
    own = x509.load_pem_x509_certificate(certified.certificate)
    assert own.public_key() == key.public_key()
    assert certified.sha256 == own.fingerprint(SHA256()).hex()
    assert certified.until == own.not_valid_after_utc.isoformat()


def test_no_two_are_the_same(authority: Authority) -> None:
    first, second = issue(authority, HOSTS), issue(authority, HOSTS)
    assert first.key != second.key
    assert first.certificate != second.certificate


BAD_HOSTS = [
    "", "a" * 64 + ".e", "a b", "a..b", "...",
    "x" * 300, "-a", "a-", "a\n", "a\0b", "*", "é" * 99, "[a]", "a..", ".",
]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_malformed_host_is_refused(authority: Authority, host: str) -> None:
    for hosts in ((host,), ("good.example", host)):
        with pytest.raises(Invalid):
            issue(authority, hosts)


@pytest.mark.parametrize(
    "host", ["a", "A-1.b_c.example", ".".join(["a" * 60] * 4), "*.example.org", "1", "a" * 63 + ".example"]
)
def test_a_host_of_every_good_kind(authority: Authority, host: str) -> None:
    own = x509.load_pem_x509_certificates(issue(authority, (host,)).certificate)[0]
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host.lower()]


def test_no_host_is_refused(authority: Authority) -> None:
    with pytest.raises(Invalid):
        issue(authority, ())


def _handshake(made_for: Authority, trusted: Authority, name: str, tmp_path: Path) -> str:
    """A TLS handshake with the standard library on both sides; "" or what the client says."""
    made = issue(made_for, HOSTS)
    (tmp_path / "tls.pem").write_bytes(made.certificate)
    (tmp_path / "tls.key").write_bytes(made.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")
    client = ssl.create_default_context(cadata=trusted.certificate.decode())
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as wire:
                wire.recv(1)
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as wire:
            wire.sendall(b"x")
        return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        here.close()
        thread.join(30)


def test_tls_with_it(authority: Authority, tmp_path: Path) -> None:
    for name in ("files.example.org", "127.0.0.1", "::1"):
        assert _handshake(authority, authority, name, tmp_path) == ""
    assert "not valid for 'other.example'" in _handshake(authority, authority, "other.example", tmp_path)
    assert _handshake(authority, create_authority("another"), "files.example.org", tmp_path) != ""


def test_the_authoritys_key_is_kept_sealed(authority: Authority, tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path))
    settings.paths.keeper.mkdir()
    root = RootKey(b"r" * 32, "bare")
    save_authority(settings, root, authority)
    sealed = settings.paths.keeper / "authority.sealed"
    assert sealed.stat().st_mode & 0o077 == 0
    assert b"PRIVATE KEY" not in sealed.read_bytes()
    assert load_authority(settings, root) == authority
    with pytest.raises(Corrupt):
        load_authority(settings, RootKey(b"s" * 32, "bare"))
    kept = sealed.read_bytes()
    sealed.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(Corrupt):
        load_authority(settings, root)


# ---- a gateway's own key --------------------------------------------------------------------------------------------


UNKNOWN_ALGORITHMS = [  # as object identifiers in DER: of the key, its curve, the signature
    (bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d027f")),
    (bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")),
    (bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")),
]


def test_a_request_is_about_the_key_that_signed_it() -> None:
    key = generate_private_key(SECP256R1())
    asked = request(key)
    assert requested_key(asked) == key.public_key()
    others = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for bad in (
        b"",
        b"nonsense",
        asked[:-1],
        asked[:-1] + bytes([asked[-1] ^ 1]),
        asked + b"\0" * 5000,
        others.sign(generate_private_key(SECP384R1()), SHA256()).public_bytes(Encoding.DER),
        others.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.DER),
        *(asked.replace(known, unknown) for known, unknown in UNKNOWN_ALGORITHMS),
    ):
        with pytest.raises(Invalid):
            requested_key(bad)


def test_names_are_kept_of_what_this_authority_issued_only(authority: Authority) -> None:
    assert kept_hosts(authority, issue(authority, HOSTS).certificate) == (
        "files.example.org", "xn--bro-hoa.example", "127.0.0.1", "::1",
    )
    foreign = issue(create_authority("test"), ("bank.example",)).certificate
    own = x509.load_pem_x509_certificates(foreign)[0].public_bytes(Encoding.PEM)
    for other in (foreign, own + authority.certificate, b"", b"nonsense"):
        assert kept_hosts(authority, other) == ()


def test_names_of_one_that_has_ended_are_not_kept(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (-1, 0):
        monkeypatch.setattr(certificates, "BACKDATED", timedelta(days=2))
        monkeypatch.setattr(certificates, "CERTIFICATE_DAYS", days)
        assert kept_hosts(authority, issue(authority, HOSTS).certificate) == ()


def test_hosts_for_the_certificate() -> None:
    url = "https://files.example:8443"
    assert gateway_hosts(Listener(bind="192.0.2.1:8443", public_url=url)) == ("files.example", "192.0.2.1")
    here = ("localhost", "127.0.0.1", "::1")
    for bind in ("0.0.0.0:8443", "[::]:8443", ":8443"):
        assert gateway_hosts(Listener(bind=bind, public_url=url)) == ("files.example", *here)
        assert gateway_hosts(Listener(bind=bind)) == here, "the machine's own name is nobody's business"
    assert gateway_hosts(Listener(bind="[::1]:0")) == ("::1",)
    assert gateway_hosts(Listener()) == ()


def test_which_hosts_a_certificate_lacks(tmp_path: Path) -> None:
    made = issue(create_authority("test"), ("Files.Example", "192.0.2.1", "::1"))
    (tmp_path / "tls.pem").write_bytes(made.certificate)
    known = read(tmp_path / "tls.pem")
    assert (known.ends - datetime.now(UTC)).days >= 363
    assert missing(known, ("files.example.", "192.0.2.1", "[0:0::1]")) == ()
    forms = ("fe80::1%eth0", "Files.Example.", "Büro.example.")
    for asked in (forms, gateway_hosts(Listener(bind="[fe80::1%eth0]:1", public_url="https://Files.example.:8443"))):
        (tmp_path / "tls.pem").write_bytes(issue(create_authority("test"), asked).certificate)
        assert missing(read(tmp_path / "tls.pem"), asked) == ()
    (tmp_path / "tls.pem").write_bytes(issue(create_authority("test"), forms).certificate)
    known_again = read(tmp_path / "tls.pem")
    assert known_again.hosts == ("files.example", "xn--bro-hoa.example", "fe80::1")
    assert missing(known_again, ("büro.EXAMPLE", "xn--BRO-hoa.example.", "[fe80::1]", "fe80::1%2")) == ()
    assert missing(known, ("other.example", "192.0.2.2")) == ("other.example", "192.0.2.2")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_bytes(content)
    with pytest.raises(Corrupt):
        read(tmp_path / "tls.pem")
