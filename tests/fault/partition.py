"""A network between a keeper and its database that can be cut: a proxy that stops forwarding."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, Self

Cut = Literal["silent", "reset", "client", "server"]
_RESET = struct.pack("ii", 1, 0)


class Network:
    """Forwards connections to a port of 127.0.0.1, until it is cut.

    silent: nobody is told; the connections stay as they are, and nothing passes. reset: both sides are told. client:
    only who connected is told, and the server is left with half a connection. server: the other way round. While it is
    cut, who connects anew is accepted and hears nothing, but for "reset" and "client", where that fails at once.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent: list[socket.socket] = []
        self._how: Cut | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def cut(self, how: Cut) -> None:
        """From now on nothing passes."""
        with self._lock:
            self._how = how
            for client, server in self._pairs:
                for side, name in ((client, "client"), (server, "server")):
                    if how in ("reset", name):
                        _reset(side)
                    else:
                        self._silent.append(side)
            self._pairs.clear()

    def heal(self) -> None:
        """It passes again, for new connections; what was half a connection is told now."""
        with self._lock:
            self._how = None
            for side in self._silent:
                _reset(side)
            self._silent.clear()

    def _main(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            known: dict[socket.socket, socket.socket] = {}
            while not self._stopping:
                ready = selector.select(0.05)
                with self._lock:
                    whole = {side for pair in self._pairs for side in pair}
                    for side in [side for side in known if side not in whole]:
                        selector.unregister(side)
                        del known[side]
                    for key, _events in ready:
                        source = key.fileobj
                        if source is self._listener:
                            for one, other in self._accepted():
                                known[one] = other
                                selector.register(one, selectors.EVENT_READ)
                        elif isinstance(source, socket.socket) and source in known:
                            self._pass_on(source, known[source])

    def _accepted(self) -> list[tuple[socket.socket, socket.socket]]:
        client, _address = self._listener.accept()
        if self._how in ("reset", "client"):
            _reset(client)
            return []
        if self._how is not None:
            self._silent.append(client)
            return []
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # the server itself is not there
            _reset(client)
            return []
        self._pairs.append((client, server))
        return [(client, server), (server, client)]

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            piece = source.recv(65536)
            if piece:
                target.sendall(piece)
        except OSError:
            piece = b""
        if not piece:
            self._pairs = [pair for pair in self._pairs if source not in pair]
            source.close()
            target.close()

    def close(self) -> None:
        """No more of it."""
        self._stopping = True
        self._thread.join()
        self.heal()
        for pair in self._pairs:
            for side in pair:
                side.close()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _reset(side: socket.socket) -> None:
    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    side.close()
