"""A blocking client of the operator's socket, for commands and tests."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from keten.core.errors import Unavailable, rebuild
from keten.keeper.protocol import Answer, Failure, Request

T = TypeVar("T")
_LENGTH = struct.Struct(">I")
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class KeeperClient:
    """One connection, one request at a time. Raises what the keeper raised, as the same Keten error."""

    def __init__(self, path: Path, timeout: float = 600.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._number = 0
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise Unavailable("keeper-unreachable", "The keeper cannot be reached.", f"{path}: {error}") from error

    def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say one verb and wait for its answer."""
        self._number += 1
        request = Request(self._number, verb, msgspec.Raw(msgspec.msgpack.encode(body)))
        frame = msgspec.msgpack.encode(request)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever closed it may have said why before that
                self._socket.sendall(_LENGTH.pack(len(frame)) + frame)
            while True:
                got = self._frame()
                if got[1:2] != b"\x00":  # [0, …] is a push, of no concern here
                    break
        except OSError as error:
            raise Unavailable("keeper-gone", "The keeper went away; see 'keten doctor'.", str(error)) from error
        received = _decode_answer(got)
        if received.ok:
            return msgspec.msgpack.decode(received.body, type=answer)
        failure = msgspec.msgpack.decode(received.body, type=Failure)
        raise rebuild(failure.category, failure.code, failure.public, failure.reason)

    def _frame(self) -> bytes:
        (length,) = _LENGTH.unpack(self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise ConnectionResetError("the keeper closed the connection")
            parts += part
        return bytes(parts)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
