"""Reading the rows of a table's source through a process of its own, which hostile bytes may break (law 10)."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import PurePath
from types import TracebackType
from typing import IO, BinaryIO, Self

import msgspec

from keten.core.errors import Invalid
from keten.vault.sealed_table import MAX_COLUMNS, Value

KINDS = {".csv": "csv", ".tsv": "csv", ".tab": "csv", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"}
_MAX_FRAME = 1 << 28
_decode = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
_decode_names = msgspec.msgpack.Decoder(list[str]).decode
_decode_rows = msgspec.msgpack.Decoder(list[list[Value]]).decode
_decode_count = msgspec.msgpack.Decoder(int).decode
_decode_text = msgspec.msgpack.Decoder(str).decode


def kind_of(name: str) -> str:
    """What a file is, by its name: "csv", "parquet" or "xlsx". Raises `Invalid` ("table-file")."""
    found = KINDS.get(PurePath(name).suffix.lower())
    if found is None:
        raise Invalid("table-file", f"{name}: a table is put as CSV, Parquet or XLSX ({', '.join(KINDS)}).")
    return found


class TableRows:
    """The rows of a source, in order, as they are parsed. Context manager. `names`: of the columns.

    Raises `Invalid` ("table-file") with what is wrong, and where.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        kind = kind_of(name)
        self._name = name
        stream.seek(0)
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-m", "keten.vault.table_child", kind],
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"POLARS_MAX_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
        )
        try:
            self.names = self._columns()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[list[Value]]:
        count = 0
        while True:
            word, body = self._frame()
            if word == "end":
                if _decode_count(body) != count:
                    raise self._broken("rows are missing")
                return
            if word != "rows":
                raise self._broken("it says what is not understood")
            try:
                rows = _decode_rows(body)
            except msgspec.MsgspecError as error:
                raise self._broken("its rows are malformed") from error
            count += len(rows)
            yield from rows

    def _columns(self) -> list[str]:
        word, body = self._frame()
        if word != "columns":
            raise self._broken("it says no columns")
        names = _decode_names(body)
        if len(names) > MAX_COLUMNS:
            raise Invalid("table-file", f"{self._name}: a table has at most {MAX_COLUMNS} columns.")
        return names

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._child.kill()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def _frame(self) -> tuple[str, msgspec.Raw]:
        stdout: IO[bytes] | None = self._child.stdout
        assert stdout is not None  # noqa: S101  # it is a pipe
        head = stdout.read(4)
        if len(head) < 4:
            raise self._broken(self._last_words())
        (length,) = struct.unpack(">I", head)
        if length > _MAX_FRAME:
            raise self._broken("it says too much at once")
        data = stdout.read(length)
        if len(data) < length:
            raise self._broken(self._last_words())
        try:
            word, body = _decode(data)
            if word == "error":
                raise Invalid("table-file", f"{self._name}: {_decode_text(body)}.")
        except msgspec.MsgspecError as error:
            raise self._broken("it says what is malformed") from error
        return word, body

    def _last_words(self) -> str:
        stderr = self._child.stderr
        lines = stderr.read(65536).decode("utf-8", "replace").strip().splitlines() if stderr is not None else []
        return f"{lines[-1][:200] if lines else 'no word'}, exit code {self._child.wait()}"

    def _broken(self, what: str) -> Invalid:
        return Invalid("table-file", f"{self._name}: the file broke the process that was to read it.", what)
