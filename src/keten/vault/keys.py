"""The vault's keys. What the database holds is wrapped; what unwraps it follows from the root key, in the keeper alone.

    root key ─▶ wrapping key ─┬▶ dataset key ─▶ content key ─▶ frames
                              └▶ subject key ─▶ what is personal in rows and entries

Each wrapping names what it is for, so that a wrapped key moved to another dataset, object or subject does not open.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading

from keten.core.crypto import Wrapper, derive, new_key
from keten.core.errors import Corrupt
from keten.vault.model import WrappedKey

MAX_CACHED = 4096


class _Recent:
    """Keys that were opened last, by (owner, wrapped key): a wrapped key opens to the same key for ever.

    The one opened first goes first, so that finding one, which each access does, needs neither lock nor bookkeeping.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, bytes], Wrapper] = {}

    def get(self, owner: str, wrapped: bytes) -> Wrapper | None:
        return self._opened.get((owner, wrapped))

    def put(self, owner: str, wrapped: bytes, opened: Wrapper) -> None:
        with self._lock:
            self._opened[owner, wrapped] = opened
            while len(self._opened) > MAX_CACHED:
                del self._opened[next(iter(self._opened))]

    def forget(self, owner: str) -> None:
        with self._lock:
            for key in [key for key in self._opened if key[0] == owner]:
                del self._opened[key]


class Keys:
    """Makes, wraps and opens keys. Holds no row: callers bring what is stored. Safe to use from several threads."""

    def __init__(self, wrapping_key: bytes) -> None:
        self._over_datasets = Wrapper(derive(wrapping_key, "dataset-keys"))
        self._over_subjects = Wrapper(derive(wrapping_key, "subject-keys"))
        self._names = derive(wrapping_key, "erased-names")
        self._datasets = _Recent()
        self._subjects = _Recent()

    # ---- content -----------------------------------------------------------------------------------------------

    def new_dataset_key(self, dataset: str) -> bytes:
        """A fresh key for a dataset, wrapped."""
        return self._over_datasets.wrap(new_key(), _context("dataset-key", dataset))

    def new_content_key(self, dataset: str, dataset_key: bytes, object_id: str) -> tuple[bytes, bytes]:
        """A fresh key for an object's content, and the same wrapped. Raises `Corrupt` ("key-damaged")."""
        key = new_key()
        opened = self._dataset(dataset, dataset_key)
        return key, opened.wrap(key, _context("content-key", dataset, object_id))

    def content_key(self, wrapped: WrappedKey) -> bytes:
        """An object's content key. Raises `Corrupt` ("key-damaged"), naming which."""
        opened = self._dataset(wrapped.dataset, wrapped.dataset_key)
        return _unwrap(opened, wrapped.content_key, _context("content-key", wrapped.dataset, wrapped.object))

    def records_key(self, dataset: str, dataset_key: bytes) -> bytes:
        """What makes ids of the keys of a dataset's records: it follows from the dataset's key, and goes with it.

        Raises `Corrupt` ("key-damaged").
        """
        return derive(_unwrap(self._over_datasets, dataset_key, _context("dataset-key", dataset)), "records")

    def forget(self, dataset: str) -> None:
        """Let go of a dataset's opened key."""
        self._datasets.forget(dataset)

    def _dataset(self, dataset: str, wrapped: bytes) -> Wrapper:
        found = self._datasets.get(dataset, wrapped)
        if found is None:
            found = Wrapper(_unwrap(self._over_datasets, wrapped, _context("dataset-key", dataset)))
            self._datasets.put(dataset, wrapped, found)
        return found

    # ---- what is personal --------------------------------------------------------------------------------------

    def new_subject_key(self, subject: str) -> bytes:
        """A fresh key for a person's or client's personal data, wrapped."""
        return self._over_subjects.wrap(new_key(), _context("subject-key", subject))

    def forget_subject(self, subject: str) -> None:
        """Let go of a subject's opened key."""
        self._subjects.forget(subject)

    def fingerprint(self, word: str, name: str) -> str:
        """What is kept of the name of an erased row: HMAC-SHA256 (hex) under a key that only the keeper has.

        Who has that key can confirm a name that he guesses, and read none from it.
        """
        return hmac.digest(self._names, f"{word}/{name}".encode(), "sha256").hex()

    def seal(self, subject: str, subject_key: bytes, plain: bytes) -> str:
        """Personal data under its subject's key, as base64. Raises `Corrupt` ("key-damaged")."""
        opened = self._subject(subject, subject_key)
        return base64.b64encode(opened.wrap(plain, _context("personal", subject))).decode("ascii")

    def open(self, subject: str, subject_key: bytes, sealed: str) -> bytes:
        """What `seal` sealed. Raises `Corrupt` ("key-damaged", or "personal-damaged" for what was sealed)."""
        opened = self._subject(subject, subject_key)
        try:
            return opened.unwrap(base64.b64decode(sealed, validate=True), _context("personal", subject))
        except (Corrupt, binascii.Error, ValueError) as error:
            raise Corrupt("personal-damaged", "Stored personal data is damaged.", f"of subject {subject}") from error

    def _subject(self, subject: str, wrapped: bytes) -> Wrapper:
        found = self._subjects.get(subject, wrapped)
        if found is None:
            found = Wrapper(_unwrap(self._over_subjects, wrapped, _context("subject-key", subject)))
            self._subjects.put(subject, wrapped, found)
        return found


def _unwrap(wrapper: Wrapper, wrapped: bytes, context: bytes) -> bytes:
    """A key, named in full when it is damaged."""
    try:
        return wrapper.unwrap(wrapped, context)
    except Corrupt as error:
        raise Corrupt(error.code, error.public, context.decode("ascii")) from error


def _context(use: str, *ids: str) -> bytes:
    return "/".join((use, *ids)).encode("ascii")
