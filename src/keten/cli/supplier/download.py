"""One download: resumed where it stopped, kept going through broken connections, checked before it gets its name."""

from __future__ import annotations

import fcntl
import http.client
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import msgspec

from keten.cli.output import say
from keten.cli.progress import Transfer, in_bytes
from keten.cli.supplier.logins import Pending
from keten.cli.supplier.patience import FIRST_PAUSE, LONGEST_PAUSE, passes, retry_after
from keten.cli.supplier.session import Answer, Session, failed, read_whole
from keten.cli.supplier.shares import Remote
from keten.cli.supplier.sink import PIECE, Pump, Sink, open_part
from keten.cli.supplier.wire import Broken, explained
from keten.core.errors import Conflict, Corrupt, Denied, KetenError, NotFound
from keten.core.files import Files
from keten.core.ids import is_id

FRUITLESS = 8  # attempts in a row that brought nothing
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})\Z")


class Fetched(msgspec.Struct, frozen=True):
    """resumed_from: bytes that were there already. entries: own entries of this download, to be verified."""

    file: str
    resumed_from: int
    entries: tuple[Pending, ...]


class StartOver(Exception):
    """What is there of the file can't be gone on with."""


class Download:
    """Fetches one file. `expect` is told of each own entry before its content is read."""

    def __init__(self, session: Session, remote: Remote, target: Path, expect: Callable[[Pending], None]) -> None:
        self._session = session
        self._remote = remote
        self._target = target
        self._part = target.with_name(f".keten-{remote.id}.part")
        self._expect = expect
        self._entries: list[Pending] = []

    def run(self) -> Fetched:
        """Fetch the file.

        1. Go on with the part that is there; nobody else is at it.
        2. Get the rest; when the connection breaks, go on, as long as that brings something and is allowed.
        3. The whole has the digest that was promised (once, a part that was damaged is fetched anew).
        4. Make it durable, and give it its name.

        Raises `Denied` or `NotFound` when access has ended, `Corrupt` ("digest"), `Conflict` ("at-it"), `Unavailable`.
        """
        with open_part(self._part) as stream:
            self._lock(stream)  # 1
            sink = Sink(stream, self._part)
            begun = sink.resume()
            if begun > self._remote.size:
                sink.clear()
                begun = 0
            if begun:
                say(f"Going on at {in_bytes(begun)} of {in_bytes(self._remote.size)}.")
            if not self._complete(sink):
                if begun:
                    say("The part that was there is damaged; it is fetched anew.")
                begun = 0
                sink.clear()
                if not self._complete(sink):
                    self._part.unlink(missing_ok=True)
                    raise Corrupt(
                        "digest", f"What came for {self._remote.path} is not what was promised; it was thrown away."
                    )
            files = Files()
            files.sync(stream)  # 4
            files.rename(self._part, self._target)
        return Fetched(str(self._target), begun, tuple(self._entries))

    def _lock(self, stream: BinaryIO) -> None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("at-it", f"Another 'keten get' is fetching {self._remote.path} to here.") from error

    def _complete(self, sink: Sink) -> bool:
        """Steps 2 and 3; false when what there is then is not what was promised."""
        try:
            self._fill(sink)  # 2
        except StartOver:
            return False
        except KeyboardInterrupt:
            if sink.size:
                say(
                    f"{in_bytes(sink.size)} of {in_bytes(self._remote.size)} had come; they are kept in {self._part}, "
                    "and the same command goes on with them."
                )
            raise
        return sink.digest == self._remote.digest  # 3

    def _fill(self, sink: Sink) -> None:
        """Step 2."""
        size = self._remote.size
        fruitless = 0
        pause = FIRST_PAUSE
        with Transfer(self._remote.name, size, done=sink.size) as shown:
            while sink.size < size or (size == 0 and not self._entries):
                before = sink.size
                error: KetenError | None = None
                try:
                    self._once(sink, shown)
                except KetenError as failure:
                    if not passes(failure):  # such as an end of access, or a full disk
                        if sink.size:
                            say(f"{in_bytes(sink.size)} had come; they are in {self._part}.")
                        raise
                    error = failure
                if error is None:
                    continue
                fruitless = 0 if sink.size > before else fruitless + 1
                if fruitless >= FRUITLESS:
                    raise error
                pause = FIRST_PAUSE if sink.size > before else min(pause * 2, LONGEST_PAUSE)
                time.sleep(max(pause, retry_after(error)))

    def _once(self, sink: Sink, shown: Transfer) -> None:
        """One request for what is missing."""
        done = sink.size
        headers = {"Range": f"bytes={done}-", "If-Range": f'"{self._remote.id}"'} if done else {}
        response = self._session.open("GET", f"/v1/objects/{self._remote.id}", headers)
        if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise self._refusal(read_whole(response))
        try:
            self._note(response)
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                self._check_range(response, done)
            else:  # the whole comes
                self._check_length(response, self._remote.size)
                if done:
                    sink.clear()
                    shown.move_to(0)
            self._receive(response, sink, shown)
        except OSError as error:
            raise explained(error, self._session.wire.host, self._session.wire.port) from error
        finally:
            self._session.wire.close()  # its body is read past http.client's own count

    def _receive(self, response: http.client.HTTPResponse, sink: Sink, shown: Transfer) -> None:
        """Read the content in large pieces; what has come is kept, also when the connection breaks within a piece."""
        left = response.length or 0
        with Pump(sink) as pump:
            while left:
                buffer = pump.buffer()
                filled = 0
                wanted = min(PIECE, left)
                try:
                    while filled < wanted:
                        count = response.fp.readinto1(buffer[filled:wanted])  # a record of TLS at a time
                        if not count:
                            raise Broken("connection", "The instance closed the connection before the end.")
                        filled += count
                finally:
                    pump.give(buffer, filled)
                left -= filled
                shown.advance(filled)

    def _note(self, response: http.client.HTTPResponse) -> None:
        """The own entry of this access, and that what comes is what the list promised."""
        digest = response.getheader("Repr-Digest", "")
        if digest != self._remote.digest:
            raise Corrupt("digest", f"{self._remote.path} is not what the list says it is.", digest[:100])
        entry, index = response.getheader("Keten-Entry", ""), response.getheader("Keten-Entry-Index", "")
        if not is_id(entry) or not index.isascii() or not index.isdigit() or len(index) > 18:
            raise Corrupt("no-entry", "The instance sends content without saying which entry records it.")
        pending = Pending(entry, int(index))
        self._entries.append(pending)
        self._expect(pending)

    def _check_range(self, response: http.client.HTTPResponse, done: int) -> None:
        match = _CONTENT_RANGE.match(response.getheader("Content-Range", ""))
        if match is None or int(match[1]) != done or int(match[3]) != self._remote.size:
            raise StartOver
        self._check_length(response, self._remote.size - done)

    def _check_length(self, response: http.client.HTTPResponse, expected: int) -> None:
        if response.length != expected:
            raise Corrupt(
                "length", "The instance sends another number of bytes than it promised.", str(response.length)
            )

    def _refusal(self, answer: Answer) -> Exception:
        """What an answer without content means."""
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return StartOver()
        if answer.status == HTTPStatus.NOT_FOUND:
            return self._gone()
        return failed(answer)

    def _gone(self) -> KetenError:
        """Why a file is not there any more: signing in again says so when it is the client's own access that ended."""
        try:
            self._session.sign_in()
        except Denied as error:
            return error
        except KetenError:
            pass
        return NotFound("absent", f"{self._remote.path} is not there for you any more.")
