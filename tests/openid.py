"""A real OpenID Connect provider (Canaille, from its Python package) as a process of its own, with people in it.

It is installed from its own lock at first use, into a folder under `.cache`: its wheel brings a package `tests`, which
would hide this one. Each one's password is `PASSWORD`.
"""

from __future__ import annotations

import fcntl
import hashlib
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
from joserfc.jwk import RSAKey

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery staple"
CLIENT = "keten-at-work"
SECRET = "of the tests: alone & 100%"
_CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Setup(msgspec.Struct, frozen=True):
    """What it is started with. people: user name → e-mail address. jwks: Keten's key set, "" for a client secret.

    host: by which it is called; browsers take 127.0.0.1 for another site than localhost. keys: private JWKs as JSON;
    none: a new RSA key. It signs by PS256. (By RS256 two access tokens of one second would be the same, which its
    database refuses.)
    """

    redirect_uri: str
    people: dict[str, str]
    jwks: str = ""
    keys: tuple[str, ...] = ()
    host: str = "localhost"
    database: str = ""
    client: str = CLIENT
    secret: str = SECRET
    password: str = PASSWORD


class Provider:
    """One, running, at `http://HOST:PORT`. As a context manager."""

    def __init__(self, setup: Setup, log: Path, port: int = 0) -> None:
        self.port = port or free_port()
        self.issuer = f"http://{setup.host}:{self.port}"
        self._log = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            ["env", "--default-signal", sys.executable, "-P", str(ROOT / "tests/openid_process.py"), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"PYTHONPATH": str(installed())},
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        keys = setup.keys or (json.dumps(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)),)
        setup = msgspec.structs.replace(
            setup, keys=keys, database=str(log.with_name(f"{self.port}-{log.stat().st_size}.db"))
        )
        self._process.stdin.write(msgspec.json.encode(setup).decode() + "\n")
        self._process.stdin.flush()
        assert json.loads(self._process.stdout.readline() or "{}") == {"ready": True}, log.read_text()

    def close(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Guest:
    """A browser at the provider: keeps its cookies, follows it, and fills in its forms."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def sign_in(self, url: str, user: str, password: str = PASSWORD) -> str:
        """From Keten's request to where the provider sends the browser back to."""
        issuer = f"http://{urlsplit(url).netloc}"
        answer, text = self._ask("GET", url)
        for _step in range(12):
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers["location"])
                if not url.startswith(issuer):
                    return url
                answer, text = self._ask("GET", url)
            else:
                assert answer.status == 200, (answer.status, text[:2000])
                fields = {"csrf_token": html.unescape(_CSRF.findall(text)[0])}
                fields |= {"password": password} if 'name="password"' in text else {"login": user}
                answer, text = self._ask("POST", url, urlencode(fields))
        raise AssertionError(text[:2000])

    def _ask(self, method: str, url: str, form: str = "") -> tuple[HTTPResponse, str]:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=30)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), form or None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        for line in answer.headers.get_all("set-cookie") or []:
            self._cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
        connection.close()
        return answer, text


def installed() -> Path:
    """The folder with the provider and all it needs, as its lock names them; it is made when it is not there."""
    lock = ROOT / "requirements/provider.lock"
    folder = ROOT / ".cache" / f"provider-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "provider.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run beside each other
        if not folder.exists():
            unfinished = folder.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "--require-hashes", "--target", str(unfinished), "-r", str(lock)], check=True)
            unfinished.rename(folder)
    return folder


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
