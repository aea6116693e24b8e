"""The root key comes back in the form in which the instance had it."""

from __future__ import annotations

import pytest

from keten.backup.model import Keys
from keten.core.crypto import new_key, seal_by_passphrase
from keten.core.errors import Denied, Invalid
from keten.keeper.restorable import Wish, root_key

ROOT = new_key()
WISH = Wish((), "operator:test", ())


def keys(kind: str, root: bytes) -> Keys:
    return Keys(1, "a" * 26, kind, root, {})


def test_a_bare_one() -> None:
    found = root_key(keys("bare", ROOT), WISH)
    assert (found.key, found.kind) == (ROOT, "bare")


def test_one_that_a_passphrase_seals() -> None:
    sealed = keys("passphrase", seal_by_passphrase(ROOT, b"correct horse battery"))
    with pytest.raises(Invalid):
        root_key(sealed, WISH)
    with pytest.raises(Denied):
        root_key(sealed, Wish((), "operator:test", (), passphrase=b"wrong"))
    found = root_key(sealed, Wish((), "operator:test", (), passphrase=b"correct horse battery"))
    assert (found.key, found.kind) == (ROOT, "passphrase")


def test_one_that_the_service_manager_held() -> None:
    with pytest.raises(Invalid):
        root_key(keys("credential", b""), WISH)
    found = root_key(keys("credential", b""), Wish((), "operator:test", (), root=ROOT))
    assert (found.key, found.kind) == (ROOT, "credential")
