"""Where the instance's own authority is kept: its certificate in public, its key sealed under the root key."""

from __future__ import annotations

from keten.core.crypto import Wrapper, derive
from keten.core.files import Files
from keten.core.settings import Settings
from keten.keeper.certificates import Authority
from keten.keeper.rootkey import RootKey

_CONTEXT = b"instance-authority"


def save_authority(settings: Settings, root: RootKey, authority: Authority) -> None:
    """Keep a new authority."""
    paths, files = settings.paths, Files()
    sealed = Wrapper(derive(root.key, "wrapping")).wrap(authority.key, _CONTEXT)
    files.write(paths.keeper / "authority.sealed", sealed, mode=0o600)
    files.write(paths.ca, authority.certificate)


def load_authority(settings: Settings, root: RootKey) -> Authority:
    """The instance's own authority. Raises `Corrupt` when its key was changed."""
    paths = settings.paths
    sealed = (paths.keeper / "authority.sealed").read_bytes()
    key = Wrapper(derive(root.key, "wrapping")).unwrap(sealed, _CONTEXT)
    return Authority(paths.ca.read_bytes(), key)
