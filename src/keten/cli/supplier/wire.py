"""HTTPS to one instance: TLS 1.3, the organisation's own authority where it has one, and errors that can be understood.

http.client on a socket of our own: a download is read in large pieces straight into one buffer.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from keten import __version__
from keten.core.errors import Invalid, Unavailable

CONNECT_SECONDS = 20.0
SILENT_SECONDS = 60.0  # without a byte for so long, the connection counts as broken
RECEIVE_BUFFER = 4 << 20
_UNKNOWN_ISSUER = {18, 19, 20, 21}  # X509_V_ERR_…: self-signed, or its issuer is not known
_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_ADDRESS = 10, 9, 62, 64


class Broken(Unavailable):
    """The connection could not be made or broke: trying again may help."""


def checked_url(text: str) -> str:
    """An instance's address without a trailing slash. `Invalid` ("url")."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Invalid("url", f"{text!r} is not an address: {error}.") from error
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise Invalid("url", f"{text!r} is not the address of an instance; it looks like https://host:8443.")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise Invalid("url", f"Give the address alone, as https://{parts.netloc.rpartition('@')[2]}.")
    return text.rstrip("/")


class Wire:
    """One connection at a time to one instance, made again where the other side closed it between two requests."""

    def __init__(self, url: str, ca: str, proxies: Mapping[str, str]) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 443
        self._proxies = proxies
        self._context = _context(ca)
        self._connection: http.client.HTTPSConnection | None = None

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer; the caller reads the body. Raises `Broken`, `Unavailable`."""
        used = self._connection is not None
        try:
            return self._send(method, path, headers, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self.close()
            if not used:
                raise Broken("connection", f"{self.host} closed the connection.", str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise explained(error, self.host, self.port) from error
        # A connection that was kept open is often closed meanwhile: once more, on a new one.
        try:
            return self._send(method, path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise explained(error, self.host, self.port) from error

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        common = {"User-Agent": f"keten/{__version__}", "Accept-Encoding": "identity"}
        self._connection.request(method, path, body=body, headers=common | dict(headers))
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPSConnection:
        proxy = self._proxies.get("https", "")
        if proxy and not without_proxy(self.host, self._proxies.get("no", "")):
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            if parts.scheme != "http" or not parts.hostname:
                raise Invalid("proxy", f"The proxy {proxy!r} cannot be used; one looks like http://proxy.example:3128.")
            connection = _Connection(parts.hostname, parts.port or 3128, self._context)
            connection.set_tunnel(self.host, self.port)
            return connection
        return _Connection(self.host, self.port, self._context)

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Connection(http.client.HTTPSConnection):
    """A connection whose socket takes a large download without waiting for us all the time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS, context=context)

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENT_SECONDS)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def without_proxy(host: str, listed: str) -> bool:
    """Whether a host is reached without the proxy: it, or a domain it is in, is in the list; "*" is every host."""
    names = {name.strip().lower().lstrip(".") for name in listed.split(",")} - {""}
    labels = host.lower().split(".")
    return "*" in names or any(".".join(labels[at:]) in names for at in range(len(labels)))


def _context(ca: str) -> ssl.SSLContext:
    """TLS 1.3, certificates checked against `ca` (PEM) alone, or the machine's authorities when it is empty."""
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except ssl.SSLError as error:
        raise Invalid("ca", "The authority's certificate cannot be read; it must be PEM.", str(error)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def explained(error: BaseException, host: str, port: int) -> Unavailable:
    """What went wrong with a connection, and what to do about it."""
    at = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable("certificate", _about_certificate(error, host), error.verify_message)
    if isinstance(error, ssl.SSLError):
        return Broken("tls", f"TLS with {at} failed; it must speak TLS 1.3.", str(error))
    if isinstance(error, socket.gaierror):
        return Broken("host-unknown", f"The name {host} is not known here.", str(error))
    if isinstance(error, ConnectionRefusedError):
        return Broken("refused", f"Nothing listens at {at}. Is the address right, and does it run?")
    if isinstance(error, TimeoutError):
        return Broken("timeout", f"{at} does not answer.")
    return Broken("connection", f"The connection with {at} broke.", f"{type(error).__name__}: {error}")


def _about_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in _UNKNOWN_ISSUER:
        return (
            f"The certificate of {host} is not by an authority that is known here. Ask the organisation for its "
            "authority's file (ca.pem), compare its fingerprint by telephone, and sign in with --ca FILE."
        )
    if code in (_WRONG_HOST, _WRONG_ADDRESS):
        return f"The certificate is not for {host}. Use the name that the organisation gave you, or tell it."
    if code == _EXPIRED:
        return f"The certificate of {host} is no longer valid. Check this machine's clock; else tell the organisation."
    if code == _NOT_YET:
        return f"The certificate of {host} is not valid yet. Check this machine's clock."
    return f"The certificate of {host} does not hold."
