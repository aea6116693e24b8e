"""Signing in, listing, signing out; and what goes wrong with certificates, keys and files."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from keten.cli.supplier.keys import load_key
from keten.cli.supplier.logins import Login, Logins
from keten.cli.supplier.wire import Wire, checked_url, without_proxy
from keten.core.certificates import fingerprint
from keten.core.errors import Corrupt, Denied, Invalid, Unavailable
from keten.core.settings import Settings
from keten.keeper.certificates import create_authority, issue
from tests.unit.cli.conftest import Done, Keten
from tests.unit.cli.other_side import CLIENT, OBJECT, OtherSide


def test_what_is_kept_and_what_is_not(
    sign_in: Callable[[], Done], other: OtherSide, tmp_path: Path, key_file: Path
) -> None:
    done = sign_in()
    assert done.code == 0
    assert other.key in done.out
    assert fingerprint(other.ca.read_bytes()) in done.out
    config = tmp_path / "config"
    for path in config.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    text = "".join(path.read_text() for path in config.rglob("*") if path.is_file())
    assert "token" not in text
    assert key_file.read_text().splitlines()[1] not in text
    (login,) = Logins(config).all()
    assert (login.url, login.client_id, login.key) == (other.url, CLIENT, str(key_file))
    assert Logins(config).seen(other.key).checkpoint == other.log.notes[3]


def test_ls(signed_in: OtherSide, keten: Keten) -> None:
    assert keten("ls", "--json").json() == [
        {
            "path": "/cards/voters.csv",
            "id": OBJECT,
            "size": len(signed_in.content),
            "digest": signed_in.own_digest(),
            "valid_until": "2027-01-01T00:00:00Z",
        }
    ]
    shown = keten("ls").out
    assert "/cards/voters.csv" in shown
    assert OBJECT in shown


def test_ls_follows_every_page(signed_in: OtherSide, keten: Keten) -> None:
    signed_in.before = [["a.csv", "b.csv"], [], ["c.csv"]]
    done = keten("ls", "--json")
    assert [one["path"] for one in done.json()] == [f"/cards/{name}.csv" for name in ("a", "b", "c", "voters")]
    assert signed_in.paths("/v1/shares") == ["/v1/shares", *(f"/v1/shares?cursor={page}" for page in (1, 2, 3))]
    assert done.err == ""


def test_names_cannot_steer_the_terminal(signed_in: OtherSide, keten: Keten) -> None:
    signed_in.name = "a\x1b[2J\x07b\n"
    assert "\x1b" not in keten("ls").out


def test_logout_forgets_the_login_and_not_the_ledger(signed_in: OtherSide, keten: Keten, tmp_path: Path) -> None:
    assert keten("logout").code == 0
    assert keten("ls").code == 2
    assert "keten login" in keten("ls").err
    assert Logins(tmp_path / "config").seen(signed_in.key).checkpoint


def test_several_instances(
    signed_in: OtherSide, keten: Keten, tmp_path: Path, private_key: Ed25519PrivateKey, key_file: Path
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = OtherSide(folder, private_key)
    second.name = "second.csv"
    second.start()
    try:
        words = ("--client", CLIENT, "--key", str(key_file), "--ca", str(second.ca))
        assert keten("login", second.url, *words).code == 0
        assert "second.csv" in keten("ls").out  # the one signed in to last
        assert "voters.csv" in keten("ls", "--instance", signed_in.url).out
        assert "second.csv" in keten("ls", "--instance", second.url.removeprefix("https://")).out
        both = keten("ls", "--instance", "127.0.0.1")
        assert (both.code, "--instance" in both.err) == (2, True)
        assert keten("ls", "--instance", "elsewhere").code == 2
        assert keten("logout").code == 0
        assert "voters.csv" in keten("ls").out
    finally:
        second.stop()


def test_refused(other: OtherSide, sign_in: Callable[[], Done], tmp_path: Path) -> None:
    other.refusal = "contract-ended"
    done = sign_in()
    assert done.code == 1
    assert "Access has ended." in done.err
    assert Logins(tmp_path / "config").all() == []


def test_another_key_than_the_registered_one(other: OtherSide, keten: Keten, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)], check=True)
    done = keten("login", other.url, "--client", CLIENT, "--key", str(wrong), "--ca", str(other.ca))
    assert done.code == 1


def test_an_instance_that_calls_itself_something_else(other: OtherSide, sign_in: Callable[[], Done]) -> None:
    other.issuer = "https://elsewhere.example"
    done = sign_in()
    assert done.code == 2
    assert "https://elsewhere.example" in done.err
    assert other.paths("/oauth") == []


def test_an_unknown_authority_is_explained(other: OtherSide, keten: Keten, key_file: Path, tmp_path: Path) -> None:
    words = ("login", other.url, "--client", CLIENT, "--key", str(key_file))
    done = keten(*words)
    assert done.code == 3
    assert "--ca FILE" in done.err
    (tmp_path / "other-ca.pem").write_bytes(create_authority("stranger").certificate)
    done = keten(*words, "--ca", str(tmp_path / "other-ca.pem"))
    assert done.code == 3
    assert "not by an authority" in done.err
    (tmp_path / "rubbish.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    done = keten(*words, "--ca", str(tmp_path / "rubbish.pem"))
    assert done.code == 2
    assert "holds no certificate" in done.err
    assert other.asked == []


def test_a_certificate_for_another_name_is_explained(other: OtherSide, sign_in: Callable[[], Done]) -> None:
    other.stop()
    authority = create_authority("x")
    made = issue(authority, ("elsewhere.example",))
    other.ca.write_bytes(authority.certificate)
    (other.folder / "tls.pem").write_bytes(made.certificate)
    (other.folder / "tls.key").write_bytes(made.key)
    other.start()
    done = sign_in()
    assert done.code == 3
    assert "not for 127.0.0.1" in done.err


def test_older_tls_is_not_spoken(other: OtherSide, sign_in: Callable[[], Done]) -> None:
    other.stop()
    other.minimum = other.maximum = ssl.TLSVersion.TLSv1_2
    other.start()
    done = sign_in()
    assert done.code == 3
    assert "TLS 1.3" in done.err
    assert other.asked == []


def test_nobody_there(other: OtherSide, sign_in: Callable[[], Done], keten: Keten, key_file: Path) -> None:
    other.stop()
    done = sign_in()
    assert done.code == 3
    assert "Nothing listens" in done.err
    words = ("--client", CLIENT, "--key", str(key_file))
    done = keten("login", "https://no-such-host.invalid", *words)
    assert (done.code, "not known" in done.err) == (3, True)


@pytest.mark.parametrize(
    "url",
    ["", "http://x", "x", "https://", "https://u:p@x", "https://x/path", "https://x?q", "https://x:0", "https://x:y"],
)
def test_what_is_no_address(url: str, keten: Keten, key_file: Path) -> None:
    assert keten("login", url, "--client", CLIENT, "--key", str(key_file)).code == 2
    with pytest.raises(Invalid):
        checked_url(url)


@pytest.mark.parametrize("client", ["", "drukwerk-batch", "x" * 26, "../x"])
def test_what_is_no_client(client: str, other: OtherSide, keten: Keten, key_file: Path) -> None:
    assert keten("login", other.url, "--client", client, "--key", str(key_file)).code == 2
    assert other.asked == []


def test_addresses() -> None:
    assert checked_url("https://x.example:8443/") == "https://x.example:8443"


@pytest.mark.parametrize(
    ("host", "listed", "without"),
    [
        ("a.example", "", False),
        ("a.example", "*", True),
        ("a.example", "example", True),
        ("a.example", ".example,other", True),
        ("a.example", "b.example", False),
        ("notexample", "example", False),
        ("127.0.0.1", "localhost, 127.0.0.1", True),
    ],
)
def test_without_proxy(host: str, listed: str, without: bool) -> None:
    assert without_proxy(host, listed) is without


def test_a_proxy_that_is_none(other: OtherSide) -> None:
    for proxy in ("socks5://x:1", "https://x", "//"):
        with pytest.raises(Invalid, match="proxy"):
            Wire(other.url, "", {"https": proxy}).request("GET", "/", {})


def test_through_a_proxy(other: OtherSide, keten: Keten, key_file: Path) -> None:
    """A proxy that knows CONNECT: the certificate that is checked is still the instance's."""
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:
        asked: list[bytes] = []

        def pipe(source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                return

        def serve() -> None:
            client, _address = listening.accept()
            asked.append(client.recv(4096))
            inner = socket.create_connection(("127.0.0.1", int(other.url.rpartition(":")[2])))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pipe, args=(inner, client))
            back.start()
            pipe(client, inner)
            back.join()
            inner.close()
            client.close()

        proxy = threading.Thread(target=serve)
        proxy.start()
        words = ("login", other.url, "--client", CLIENT, "--key", str(key_file), "--ca", str(other.ca))
        done = keten(*words, proxies={"https": f"http://127.0.0.1:{listening.getsockname()[1]}"})
        proxy.join()
    assert done.code == 0, done.err
    assert asked[0].startswith(b"CONNECT 127.0.0.1:")


# ---- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_that_is_encrypted(
    other: OtherSide, private_key: Ed25519PrivateKey, tmp_path: Path, keten: Keten
) -> None:
    sealed = tmp_path / "sealed"
    encryption = BestAvailableEncryption(b"open sesame")
    sealed.write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption))
    sealed.chmod(0o600)
    words = ("login", other.url, "--client", CLIENT, "--key", str(sealed), "--ca", str(other.ca))
    done = keten(*words)  # no terminal here
    assert done.code == 3
    assert "--passphrase-file" in done.err
    (tmp_path / "phrase").write_text("open sesame\n")
    assert keten(*words, "--passphrase-file", str(tmp_path / "phrase")).code == 0
    assert keten("ls").code == 0  # it is remembered where the passphrase is
    (tmp_path / "phrase").write_text("wrong\n")
    assert keten("ls").code == 1
    with pytest.raises(Denied):
        load_key(sealed, tmp_path / "phrase")


def test_a_passphrase_for_a_key_without_one(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("x")
    with_it, without = load_key(key_file, tmp_path / "phrase"), load_key(key_file)
    assert with_it.private_bytes_raw() == without.private_bytes_raw()


def test_what_is_no_key(tmp_path: Path, private_key: Ed25519PrivateKey) -> None:
    for content, text in (
        (b"", "not a private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "not a private key"),
        (private_key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), "public half"),
        (b"x" * 100_000, "too large"),
    ):
        (tmp_path / "k").write_bytes(content)
        with pytest.raises(Invalid, match=text):
            load_key(tmp_path / "k")
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ec")], check=True)
    with pytest.raises(Invalid, match="Ed25519"):
        load_key(tmp_path / "ec")
    with pytest.raises(Invalid):
        load_key(tmp_path / "nothing")


def test_the_public_half_is_not_taken_for_a_key_that_others_may_read(
    tmp_path: Path, private_key: Ed25519PrivateKey, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(private_key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    path.chmod(0o644)
    with pytest.raises(Invalid, match="public half"):
        load_key(path)
    assert capfd.readouterr().err == ""


def test_others_who_can_read_the_key_are_named(key_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_key(key_file)
    assert capfd.readouterr().err == ""
    key_file.chmod(0o644)
    load_key(key_file)
    assert "chmod 600" in capfd.readouterr().err


# ---- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 3}', "\x00"])
@pytest.mark.usefixtures("signed_in")
def test_a_damaged_login_is_said(content: str, keten: Keten, tmp_path: Path) -> None:
    (path,) = (tmp_path / "config" / "instances").glob("*.json")
    path.write_text(content)
    done = keten("ls")
    assert done.code == 4
    assert str(path) in done.err
    with pytest.raises(Corrupt):
        Logins(tmp_path / "config").all()


def test_a_settings_folder_that_cannot_be_written(
    other: OtherSide, keten: Keten, key_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    words = ("login", other.url, "--client", CLIENT, "--key", str(key_file), "--ca", str(other.ca))
    done = keten(*words, config=tmp_path / "file" / "keten")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_a_login_can_be_read_back(tmp_path: Path) -> None:
    logins = Logins(tmp_path)
    login = Login(url="https://x", client_id="c", key="k", ledger_key="l")
    logins.add(login)
    assert logins.choose() == login
    assert json.loads(next((tmp_path / "instances").iterdir()).read_text())["url"] == "https://x"
    with pytest.raises(Unavailable):
        Wire("https://127.0.0.1:1", "", {}).request("GET", "/", {})
    assert Settings().home == ""
