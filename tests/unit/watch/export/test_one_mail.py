"""A mail that the server will not have is that mail's own trouble: others go on (law: nobody is passed over)."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope

from keten.core.errors import Unavailable
from keten.watch.export.drivers.driver import context
from keten.watch.export.drivers.smtp import Server, give
from tests.receivers import Trust, free_port

SENDER = "keten@gemeente.example"


class _Choosy:
    """Takes mail, but for one mailbox, whose content it refuses once it has it (RFC 5321 §4.2.1)."""

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        return "554 5.7.1 not that" if envelope.rcpt_tos == ["full@gemeente.example"] else "250 taken"


@pytest.fixture
def server(trust: Trust) -> Iterator[Server]:
    """One that speaks no SMTPUTF8 (RFC 6531), as many do not."""
    controller = Controller(
        _Choosy(),  # type: ignore[arg-type,unused-ignore]
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=trust.context(),
        require_starttls=True,
        enable_SMTPUTF8=False,
    )
    controller.start()
    yield Server(f"smtp://localhost:{controller.port}", context(trust.ca))
    controller.stop()


def handed(server: Server, to: str) -> str:
    """What comes of a mail to somebody: "" when it was taken, else the code of why not."""
    message = EmailMessage(policy=WIRE)
    message["From"], message["To"], message["Subject"] = SENDER, to, "x"
    message.set_content("x\n")
    try:
        give(server, message, SENDER, (to,))
    except Unavailable as error:
        return error.code
    return ""


def test_an_address_that_the_server_can_not_take_is_refused_and_the_server_is_not_gone(server: Server) -> None:
    assert handed(server, "member@gemeente.example") == ""
    assert handed(server, "jürgen@gemeente.example") == "export-refused"
    assert handed(server, "member@bücher.example") == "export-refused"
    assert handed(server, "member@gemeente.example") == ""


def test_content_that_is_refused_for_one_is_that_ones_own(server: Server) -> None:
    assert handed(server, "full@gemeente.example") == "export-deferred"
    assert handed(server, "member@gemeente.example") == ""
