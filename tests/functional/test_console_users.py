"""Who may speak on the console's socket: the keeper's own user, root, and whom `[keeper] console_users` names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest

from keten.core.errors import Unavailable
from keten.keeper.client import KeeperClient
from keten.keeper.people_protocol import Done, Origin
from keten.keeper.protocol import Nothing, Status
from tests.functional.separate import GATEWAY, KEEPER, SETTINGS, Separate

CONSOLE, STRANGER = 64012, 64013


@pytest.fixture(scope="module")
def keeper() -> Iterator[Separate]:
    """A keeper that lets the console's user in, and no gateway."""
    with Separate() as made:
        made.set_up()
        made.paths.settings.write_text(f'{SETTINGS}console_users = ["{CONSOLE}"]\n', encoding="utf-8")
        made.start_keeper()
        yield made


def origin(keeper: Separate, user: int) -> str:
    """Say what browsers call the console, as a user of this machine."""
    os.seteuid(user)  # what the kernel says of whoever connects (unix(7), SO_PEERCRED)
    try:
        client = KeeperClient(keeper.paths.console_socket, timeout=30)
    finally:
        os.seteuid(0)
    with client:
        try:
            client.call("people.origin", Origin("http://localhost:8080"), Done)
        except Unavailable as error:
            return error.code
    return "done"


@pytest.mark.parametrize("user", [0, KEEPER, CONSOLE])
def test_whom_it_lets_in(keeper: Separate, user: int) -> None:
    assert origin(keeper, user) == "done"


@pytest.mark.parametrize("user", [GATEWAY, STRANGER])
def test_whom_it_tells_nothing(keeper: Separate, user: int) -> None:
    assert origin(keeper, user) == "keeper-gone"


def test_the_consoles_user_gives_no_commands(keeper: Separate) -> None:
    os.seteuid(CONSOLE)
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            KeeperClient(keeper.paths.operator_socket)
    finally:
        os.seteuid(0)
    with KeeperClient(keeper.paths.console_socket) as client, pytest.raises(Exception, match="does not know that verb"):
        client.call("keeper.status", Nothing(), Status)


def test_folder_and_socket_are_what_the_manual_says(keeper: Separate) -> None:
    folder, socket = keeper.paths.run.stat(), keeper.paths.console_socket.stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid) == (0o755, KEEPER)
    assert (stat.S_IMODE(socket.st_mode), socket.st_uid) == (0o666, KEEPER)
