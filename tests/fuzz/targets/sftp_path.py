"""Paths over SFTP: what is looked up lies below the root and has one spelling, whatever came."""

from __future__ import annotations

import unicodedata

from keten.gateway.sftp_paths import NoSuchPath, folder_name, resolve, written
from tests.fuzz.target import Target


def check(data: bytes) -> bool:
    label = folder_name(data.decode("utf-8", "replace"), "abcdefghijklmnopqrstuvwxya")
    assert resolve(written((label,))) == (label,), "a share's folder is found by its name"
    try:
        path = resolve(data)
    except NoSuchPath:
        return False
    assert resolve(written(path)) == path, "what is authorised is what is opened"
    for component in path:
        assert component not in ("", ".", "..")
        assert not {"/", "\\", "\0"} & set(component)
        assert component == unicodedata.normalize("NFC", component)
    return True


TARGET = Target(
    "sftp-path",
    check,
    lambda: [
        b"/share/file.csv",
        b"share/../x/./y",
        "/e\u0301tude/\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645".encode(),
    ],
    words=(b"/", b"..", b".", b"\\", "\u2025".encode(), "\uff0e\uff0e".encode(), b"/etc/passwd", "\u2215".encode()),
    longest=5000,
)
