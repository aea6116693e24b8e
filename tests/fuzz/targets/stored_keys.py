"""Wrapped keys and sealed personal data, as stored: they open to what was wrapped, or they are damaged."""

from __future__ import annotations

from keten.core.errors import Corrupt
from keten.vault.keys import Keys
from keten.vault.model import WrappedKey
from tests.fuzz.target import Target, text_of

KEYS = Keys(b"\x41" * 32)
DATASET, OBJECT, SUBJECT = "d" * 25 + "a", "o" * 25 + "a", "s" * 25 + "a"
DATASET_KEY = KEYS.new_dataset_key(DATASET)
KEY, WRAPPED = KEYS.new_content_key(DATASET, DATASET_KEY, OBJECT)
SUBJECT_KEY = KEYS.new_subject_key(SUBJECT)
SEALED = KEYS.seal(SUBJECT, SUBJECT_KEY, b"anna@example.org")


def check(data: bytes) -> bool:
    taken = False
    for dataset_key, content_key in ((DATASET_KEY, data), (data, WRAPPED)):
        try:
            found = Keys(b"\x41" * 32).content_key(WrappedKey(DATASET, OBJECT, dataset_key, content_key))
        except Corrupt:
            continue
        assert found == KEY
        assert data in (DATASET_KEY, WRAPPED)
        taken = True
    try:
        plain = KEYS.open(SUBJECT, SUBJECT_KEY, text_of(data))
    except Corrupt:
        return taken
    assert plain == b"anna@example.org"
    return True


TARGET = Target(
    "stored-keys", check, lambda: [WRAPPED, DATASET_KEY, SEALED.encode()], words=(SUBJECT_KEY, b"=", b"====")
)
