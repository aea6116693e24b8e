"""OpenSSH keys, fingerprints and thumbprints, against OpenSSH, asyncssh and joserfc where they have them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from keten.core.errors import Invalid
from keten.identity import keys
from tests.unit.identity.signing import ClientKey, EcKey


def test_the_identity_as_a_key_is_refused() -> None:
    """Under the identity, R = identity and S = 0 is a signature over everything: OpenSSL accepts it."""
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)
    Ed25519PublicKey.from_public_bytes(identity).verify(forged, b"anything")
    with pytest.raises(Invalid) as caught:
        keys.from_raw(identity)
    assert caught.value.code == "key-weak"


def test_a_line_is_normalised() -> None:
    line = ClientKey().public.line
    for written in (line, f"{line} ops@drukwerk", f"  {line}\n", f"{line}\tx".replace("\t", " "), f"{line} a b c\r\n"):
        assert keys.normalised(written) == line
        assert keys.parse_line(written).fingerprint == keys.parse_line(line).fingerprint


def blob_line(blob: bytes, kind: str = "ssh-ed25519") -> str:
    return f"{kind} {base64.b64encode(blob).decode()}"


GOOD = ClientKey().public
HEAD = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "key-malformed"),
        ("   \n", "key-malformed"),
        ("ssh-ed25519", "key-malformed"),
        ("ssh-ed25519 ", "key-malformed"),
        ("ssh-ed25519 !!!!", "key-malformed"),
        ("ssh-ed25519 é", "key-malformed"),
        (GOOD.line[:-4], "key-malformed"),
        (f"{GOOD.line}AAAA", "key-malformed"),
        (f"{GOOD.line}\n{GOOD.line}", "key-malformed"),
        (f"{GOOD.line}\0", "key-malformed"),
        (GOOD.line.replace(" ", " \x1b[2J", 1), "key-malformed"),
        (f"{GOOD.line} {'x' * 2000}", "key-malformed"),
        (blob_line(HEAD + b"x" * 31), "key-malformed"),
        (blob_line(HEAD + b"x" * 33), "key-malformed"),
        (blob_line(HEAD.replace(b"25519", b"25518") + b"x" * 32), "key-malformed"),
        (blob_line(HEAD + bytes(32)), "key-weak"),
        (blob_line(HEAD + b"\xff" * 32), "key-weak"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ", "key-type"),
        ("sk-ssh-ed25519@openssh.com AAAA", "key-type"),
        (f'from="192.0.2.0/24" {GOOD.line}', "key-type"),
        (f"command=x,{GOOD.line}", "key-type"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE", "key-private"),
    ],
)
def test_a_wrong_line_is_refused_and_not_repeated(line: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        keys.parse_line(line)
    assert caught.value.code == code
    assert "b3Blbn" not in str(caught.value)
    assert GOOD.line.split()[1] not in str(caught.value)


def test_base64_with_another_spelling_is_refused() -> None:
    """The last character of a padded group has bits that mean nothing; OpenSSH itself writes zeros."""
    blob = HEAD + ClientKey().public.raw
    encoded = base64.b64encode(blob).decode()
    assert len(blob) % 3 == 0, "an Ed25519 key has no padding, so only a foreign length can be spelled in two ways"
    with pytest.raises(Invalid):
        keys.parse_line(f"ssh-ed25519 {encoded}====")


@given(st.text(max_size=300))
def test_no_text_does_anything_but_be_a_key_or_invalid(line: str) -> None:
    try:
        made = keys.parse_line(line)
    except Invalid:
        return
    assert keys.normalised(made.line) == made.line


@given(st.binary(max_size=120))
def test_no_blob_does_anything_but_be_a_key_or_invalid(blob: bytes) -> None:
    for tried in (blob, HEAD + blob, HEAD + blob[:32].ljust(32, b"\1")):
        try:
            made = keys.from_blob(tried)
        except Invalid:
            continue
        assert made.blob == tried


def test_a_key_verifies_its_own_signatures_only() -> None:
    one, other = ClientKey(), ClientKey()
    signature = one.sign(b"m")
    assert one.public.verifies(signature, b"m")
    assert not one.public.verifies(signature, b"n")
    assert not other.public.verifies(signature, b"m")
    assert not one.public.verifies(b"", b"m")
    assert not one.public.verifies(signature[:-1], b"m")


def test_a_fingerprint_goes_to_bytes_and_back() -> None:
    written = ClientKey().public.fingerprint
    assert keys.fingerprint_text(keys.fingerprint_bytes(written)) == written


@pytest.mark.parametrize("written", ["", "SHA256:", "MD5:" + "a" * 43, "SHA256:" + "a" * 42, "SHA256:" + "*" * 43])
def test_what_is_no_fingerprint_is_refused(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - base64's own errors are ValueErrors with changing texts
        keys.fingerprint_bytes(written)


def test_keys_and_fingerprints_are_those_of_asyncssh() -> None:
    private = asyncssh.generate_private_key("ssh-ed25519", comment="x")
    line = private.export_public_key().decode()
    assert keys.parse_line(line).fingerprint == private.get_fingerprint()
    assert keys.parse_line(line).blob == private.public_data


@pytest.mark.needs("ssh-keygen")
def test_keys_and_fingerprints_are_those_of_openssh(tmp_path: Path) -> None:
    target = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops@x", "-f", target], check=True)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", target], check=True, capture_output=True, text=True).stdout
    parsed = keys.parse_line(target.with_suffix(".pub").read_text())
    assert parsed.fingerprint == shown.split()[1]


def test_thumbprints_are_those_of_joserfc() -> None:
    okp, ec = ClientKey(), EcKey()
    theirs = [OKPKey.import_key(dict(okp.jwk())).thumbprint(), ECKey.import_key(dict(ec.jwk())).thumbprint()]
    ours = [base64.urlsafe_b64encode(key.thumbprint()).rstrip(b"=").decode() for key in (okp, ec)]
    assert ours == theirs


def test_the_thumbprint_of_rfc_8037() -> None:
    """RFC 8037 appendix A.3."""
    made = keys.okp_thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert base64.urlsafe_b64encode(made).rstrip(b"=") == b"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_keyring_holds_every_key_of_a_client() -> None:
    one, other = ClientKey().public, ClientKey().public
    assert [key.line for key in keys.keyring((one.line, other.line))] == [one.line, other.line]
    assert keys.keyring(()) == ()
    with pytest.raises(Invalid):
        keys.keyring((one.line, "rubbish"))
