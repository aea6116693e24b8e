"""A form with a file in it (multipart/form-data, RFC 7578), in memory: what somebody uploads lies on no disk."""

from __future__ import annotations

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

TYPE = "multipart/form-data"
ESCAPED = "surrogateescape"
"""How a file's bytes that are no UTF-8 stand in its text (PEP 383); whoever reads the file finds them at their line."""
_DISPOSITION = b"content-disposition"


class _Parts:
    """What the parser has met. name None: a part that is not of a form's."""

    def __init__(self, most: int) -> None:
        self.pairs: list[tuple[str, str]] = []
        self._most = most
        self._header = b""
        self._value = b""
        self._name: bytes | None = None
        self._file = False
        self._data = bytearray()

    def begin(self) -> None:
        self._name, self._file, self._data = None, False, bytearray()

    def header_begin(self) -> None:
        self._header, self._value = b"", b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._header.lower() == _DISPOSITION:
            kind, options = parse_options_header(self._value.decode("latin-1"))
            if kind == b"form-data":
                self._name, self._file = options.get(b"name"), b"filename" in options

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def end(self) -> None:
        if self._name is None or len(self.pairs) >= self._most:
            raise ValueError("a part without a name, or too many of them")
        text = self._data.decode("utf-8", ESCAPED if self._file else "strict")
        self.pairs.append((self._name.decode("utf-8"), text))


def fields(content_type: str, body: bytes, most: int) -> list[tuple[str, str]]:
    """The fields of a form, in their order, files among them by their content alone: a file's name is of no use here.

    most: fields. Raises `ValueError` for what is no whole form.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise ValueError("no boundary")
    parts = _Parts(most)
    over: list[bool] = []
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_begin": parts.header_begin,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": lambda: over.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise ValueError(str(error)) from error
    if not over:
        raise ValueError("it ends before its last boundary")
    return parts.pairs
