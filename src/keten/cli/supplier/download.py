"""One download: resumed where it stopped, kept going through broken connections, checked before it gets its name."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import time
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import msgspec

from keten.cli.output import say
from keten.cli.progress import Transfer, in_bytes
from keten.cli.supplier.logins import Pending
from keten.cli.supplier.session import Session, failed, read_whole
from keten.cli.supplier.shares import Remote
from keten.cli.supplier.wire import Broken, explained
from keten.core.errors import Busy, Conflict, Corrupt, Denied, KetenError, NotFound, Unavailable
from keten.core.files import Files, disk_error
from keten.core.ids import is_id
from keten.vault.rules import digest_text

PIECE = 1 << 20
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
FRUITLESS = 8  # attempts in a row that brought nothing
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})\Z")
_SECONDS = re.compile(r"[0-9]{1,5}\Z")


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
        with self._opened() as stream:  # 1
            begun = os.fstat(stream.fileno()).st_size
            if not self._complete(stream):
                if begun:
                    say("The part that was there is damaged; it is fetched anew.")
                begun = 0
                stream.truncate(0)
                if not self._complete(stream):
                    self._part.unlink(missing_ok=True)
                    raise Corrupt(
                        "digest", f"What came for {self._remote.path} is not what was promised; it was thrown away."
                    )
            files = Files()
            files.sync(stream)  # 4
            files.rename(self._part, self._target)
        return Fetched(str(self._target), begun, tuple(self._entries))

    def _complete(self, stream: BinaryIO) -> bool:
        """Steps 2 and 3; false when what there is then is not what was promised."""
        try:
            self._fill(stream)  # 2
        except StartOver:
            return False
        return self._digest(stream) == self._remote.digest  # 3

    def _opened(self) -> BinaryIO:
        """Step 1."""
        try:
            descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise disk_error(error, self._part) from error
        stream = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.close()
            raise Conflict("at-it", f"Another 'keten get' is fetching {self._remote.path} to here.") from error
        if os.fstat(descriptor).st_size > self._remote.size:
            stream.truncate(0)
        return stream

    def _fill(self, stream: BinaryIO) -> None:
        """Step 2."""
        size = self._remote.size
        fruitless = 0
        pause = FIRST_PAUSE
        done = stream.seek(0, os.SEEK_END)
        if done and done < size:
            say(f"Going on at {in_bytes(done)} of {in_bytes(size)}.")
        with Transfer(self._remote.name, size, done=done) as shown:
            while done < size or (size == 0 and not self._entries):
                try:
                    self._once(stream, done, shown)
                    error: KetenError | None = None
                except (Broken, Busy, Unavailable) as broken:
                    if not isinstance(broken, Broken | Busy) and broken.code != "instance":
                        raise  # such as a full disk
                    error = broken
                before, done = done, stream.seek(0, os.SEEK_END)
                if error is None and done >= size:
                    return
                fruitless = 0 if done > before else fruitless + 1
                if fruitless >= FRUITLESS:
                    raise error or Unavailable("connection", "The instance keeps sending less than it says.")
                pause = FIRST_PAUSE if done > before else min(pause * 2, LONGEST_PAUSE)
                time.sleep(max(pause, _retry_after(error)))

    def _once(self, stream: BinaryIO, done: int, shown: Transfer) -> None:
        """One request for what is missing, from `done` on."""
        headers = {"Range": f"bytes={done}-", "If-Range": f'"{self._remote.id}"'} if done else {}
        response = self._session.open("GET", f"/v1/objects/{self._remote.id}", headers)
        if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            answer = read_whole(response)
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise StartOver
            if response.status == HTTPStatus.NOT_FOUND:
                raise self._gone()
            error = failed(answer)
            vars(error)["retry_after"] = answer.headers.get("retry-after", "")
            raise error
        self._note(response)
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            self._check_range(response.getheader("Content-Range", ""), done)
        elif done:  # the whole comes
            stream.truncate(0)
            shown.move_to(0)
        stream.seek(0, os.SEEK_END)
        self._receive(response, stream, shown)

    def _receive(self, response: http.client.HTTPResponse, stream: BinaryIO, shown: Transfer) -> None:
        """Read the content in large pieces; what has come is written, also when the connection breaks in a piece."""
        buffer = memoryview(bytearray(PIECE))
        left = response.length or 0
        filled = 0
        try:
            while left:
                count = response.fp.readinto1(buffer[filled : filled + left])  # one record of TLS at a time
                if not count:
                    raise Broken("connection", "The instance closed the connection before the end.")
                left -= count
                filled += count
                shown.advance(count)
                if filled == PIECE:
                    _write(stream, buffer, self._part)
                    filled = 0
        except OSError as error:
            raise explained(error, self._session.wire.host, self._session.wire.port) from error
        finally:
            _write(stream, buffer[:filled], self._part)
            self._session.wire.close()  # its body was read past http.client's own count

    def _note(self, response: http.client.HTTPResponse) -> None:
        """The own entry of this access, and that what comes is what the list promised."""
        digest = response.getheader("Repr-Digest", "")
        if digest != self._remote.digest:
            self._session.wire.close()
            raise Corrupt("digest", f"{self._remote.path} is not what the list says it is.", digest[:100])
        entry, index = response.getheader("Keten-Entry", ""), response.getheader("Keten-Entry-Index", "")
        if not is_id(entry) or not index.isascii() or not index.isdigit() or len(index) > 18:
            self._session.wire.close()
            raise Corrupt("no-entry", "The instance sends content without saying which entry records it.")
        pending = Pending(entry, int(index))
        self._entries.append(pending)
        self._expect(pending)

    def _check_range(self, text: str, done: int) -> None:
        match = _CONTENT_RANGE.match(text)
        if match is None or int(match[1]) != done or int(match[3]) != self._remote.size:
            self._session.wire.close()
            raise StartOver

    def _gone(self) -> KetenError:
        """Why a file is not there any more: signing in again says so when it is the client's own access that ended."""
        try:
            self._session.sign_in()
        except Denied as error:
            return error
        except KetenError:
            pass
        return NotFound("absent", f"{self._remote.path} is not there for you any more.")

    def _digest(self, stream: BinaryIO) -> str:
        hashed = sha256()
        stream.seek(0)
        buffer = memoryview(bytearray(PIECE))
        while count := stream.readinto(buffer):  # type: ignore[attr-defined]  # FileIO has it
            hashed.update(buffer[:count])
        return digest_text(hashed.digest())


def _write(stream: BinaryIO, data: memoryview, path: Path) -> None:
    """Write all of it. `Unavailable` ("disk-full") when there is no room: that is no broken connection."""
    try:
        while data:
            data = data[stream.write(data) :]
    except OSError as error:
        raise disk_error(error, path) from error


def _retry_after(error: KetenError | None) -> float:
    """Seconds that the instance asked us to wait, within reason."""
    asked = str(getattr(error, "retry_after", ""))
    return min(float(asked), 60.0) if _SECONDS.match(asked) else 0.0
