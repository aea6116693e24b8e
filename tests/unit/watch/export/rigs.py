"""For each kind of destination a receiver, with what it got: what the drivers' shared tests need."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope

from keten.core.destinations import Destination
from tests.receivers import Answer, Asked, Trust, lines, web


class Rig:
    """A receiver. `uids`: what it holds, in order. `refuse`: what it answers instead, as an HTTP status; 0 for none."""

    kind = ""
    lasting = False  # whether what it holds survives when it is killed

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        self.folder, self.trust, self.secret = folder, trust, secret
        self.refuse = 0
        self.poison = ""
        self.uids: list[str] = []
        self.extra: dict[str, Any] = {}
        self._stack = ExitStack()
        self.url = ""

    def destination(self, **more: Any) -> Destination:
        basic = {"name": "soc", "kind": self.kind, "url": self.url, "ca": str(self.trust.ca), **self.extra}
        return msgspec.convert(basic | more, Destination)

    def start(self) -> None:
        """Listen; at the same address as before."""

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class WebRig(Rig):
    """Over HTTPS."""

    path = "/"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.asked: list[Asked] = []
        self._port = 0

    def start(self) -> None:
        server: AbstractContextManager[str] = web(self.trust, self._answer, self._port)
        root = self._stack.enter_context(server)
        self._port = int(root.rpartition(":")[2])
        self.url = root + self.path

    def _answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if self.refuse:
            return self.refuse, b"no"
        if self.poison and self.poison.encode() in asked.body and b"refused-" not in asked.body:
            return 400, b"this one I will not have"
        return self.take(asked)

    def take(self, asked: Asked) -> Answer:
        raise NotImplementedError


class WebhookRig(WebRig):
    kind = "webhook"
    path = "/hook"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.extra = {"token_file": str(secret)}

    def take(self, asked: Asked) -> Answer:
        self.uids.append(json.loads(asked.body)["data"]["metadata"]["uid"])
        return 204, b""


class OtlpRig(WebRig):
    kind = "otlp"

    def take(self, asked: Asked) -> Answer:
        assert asked.path == "/v1/logs"
        for resource in json.loads(asked.body)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for entry in scope["logRecords"]:
                    self.uids.append(json.loads(entry["body"]["stringValue"])["metadata"]["uid"])
        return 200, b'{"partialSuccess":{}}'


class SplunkRig(WebRig):
    """With indexer acknowledgement: what was acknowledged is kept, what was not is lost when it is killed."""

    kind = "splunk"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.extra = {"token_file": str(secret)}
        self.pending: dict[int, list[str]] = {}
        self.acknowledges = True
        self._next = 0

    def take(self, asked: Asked) -> Answer:
        assert asked.headers["authorization"].startswith("Splunk ")
        assert asked.headers["x-splunk-request-channel"]
        if asked.path.startswith("/services/collector/ack?channel="):
            wanted = json.loads(asked.body)["acks"]
            told = {}
            for number in wanted:
                known = self.acknowledges and number in self.pending
                if known:
                    self.uids += self.pending.pop(number)
                told[str(number)] = known
            return 200, json.dumps({"acks": told}).encode()
        assert asked.path == "/services/collector/event"
        decoder, text, found = json.JSONDecoder(), asked.body.decode(), []
        while text:
            event, end = decoder.raw_decode(text)
            found.append(event["event"]["metadata"]["uid"])
            text = text[end:]
        self.pending[self._next] = found
        self._next += 1
        return 200, json.dumps({"text": "Success", "code": 0, "ackId": self._next - 1}).encode()


class FileRig(Rig):
    kind = "file"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.url = "out/events.jsonl"
        self.path = folder / self.url

    @property
    def uids(self) -> list[str]:
        return [event["metadata"]["uid"] for event in lines(self.path)]

    @uids.setter
    def uids(self, value: list[str]) -> None:
        assert value == []


class SyslogRig(Rig):
    """A TLS socket that takes octet-counted frames (RFC 5425)."""

    kind = "syslog"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.messages: list[bytes] = []
        self._port = 0
        self._open: list[ssl.SSLSocket] = []

    def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self.url = f"tls://localhost:{self._port}"
        self._stack.callback(listening.close)
        self._stack.callback(listening.shutdown, socket.SHUT_RDWR)  # or the thread that accepts keeps it open
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def stop(self) -> None:
        super().stop()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self, listening: socket.socket) -> None:
        context = self.trust.context()
        while True:
            try:
                plain, _address = listening.accept()
                connection = context.wrap_socket(plain, server_side=True)
            except OSError:
                if listening.fileno() < 0:
                    return
                continue
            self._open.append(connection)
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: ssl.SSLSocket) -> None:
        stream = connection.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while True:
                digits = b""
                while (one := stream.read(1)) != b" ":
                    if not one:
                        return
                    digits += one
                message = stream.read(int(digits))
                self.messages.append(message)
                self.uids.append(json.loads(message[message.index(b"{") :])["metadata"]["uid"])


class _Handler:
    def __init__(self, rig: MailRig) -> None:
        self._rig = rig

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self._rig.refuse:
            return "451 not now"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        self._rig.mails.append(message)
        body = message.get_body()
        assert body is not None
        for word in body.get_content().split():
            if word.startswith("uid"):
                self._rig.uids.append(word)
        return "250 taken"


class MailRig(Rig):
    """aiosmtpd with STARTTLS."""

    kind = "mail"

    def __init__(self, folder: Path, trust: Trust, secret: Path) -> None:
        super().__init__(folder, trust, secret)
        self.extra = {"sender": "keten@gemeente.example", "to": ["soc@gemeente.example"]}
        self.mails: list[Any] = []
        self._port = 0
        self.tls = True

    def start(self) -> None:
        if not self._port:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                self._port = found.getsockname()[1]
        context = self.trust.context() if self.tls else None
        controller = Controller(
            _Handler(self),  # type: ignore[arg-type,unused-ignore]
            hostname="127.0.0.1",
            port=self._port,
            tls_context=context,
            require_starttls=self.tls,
        )
        controller.start()
        self._stack.callback(controller.stop)
        self.url = f"smtp://localhost:{self._port}"


RIGS: dict[str, Callable[[Path, Trust, Path], Rig]] = {
    "syslog": SyslogRig,
    "splunk": SplunkRig,
    "otlp": OtlpRig,
    "file": FileRig,
    "webhook": WebhookRig,
    "mail": MailRig,
}


def secret_bytes(path: Path) -> bytes:
    """The key of a webhook's secret."""
    return base64.b64decode(path.read_text().strip().removeprefix("whsec_"))
