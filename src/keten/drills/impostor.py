"""A gateway in an attacker's hands: it speaks the keeper's protocol and has everything that a gateway has."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from keten.core.errors import KetenError
from keten.core.ids import new_id
from keten.drills.supplier import SupplierSystem
from keten.keeper import protocol as said
from keten.keeper.client import KeeperClient

HOME = "127.0.0.1"


class Impostor:
    """Says to the keeper what a gateway may say, and what it may not."""

    def __init__(self, socket: Path) -> None:
        self._keeper = KeeperClient(socket, timeout=30)
        self._keeper.call("keeper.hello", said.Hello("gateway", "0"), said.Welcome)

    def tries(self, object_id: str, system: SupplierSystem) -> dict[str, str]:
        """Every way to a key without the proof of a caller who may: name → "opened" or the code of the refusal."""
        url = f"{system.url}/v1/objects/{object_id}"
        other = system.proof("GET", f"{system.url}/v1/shares", system.token)
        old = system.proof("GET", url, system.token, iat=int(time.time()) - 3600)
        return {
            "a forged token": self._open(object_id, said.HttpProof("A" * 172, other, "GET", url)),
            "no token": self._open(object_id, said.HttpProof("", "", "GET", url)),
            "a proof for another address": self._open(object_id, said.HttpProof(system.token, other, "GET", url)),
            "an old proof": self._open(object_id, said.HttpProof(system.token, old, "GET", url)),
            "an invented session": self._open_session(object_id, new_id()),
            "an unsigned SSH sign-in": self._ssh(system.client_id),
            "an operator's verb": self._call("revocation.revoke", said.Revoke("client", system.client_id, "x")),
            "another operator's verb": self._call("exchange.put_begin", said.PutBegin("voters", "x", "", "", 0)),
        }

    def _open(self, object_id: str, proof: said.HttpProof) -> str:
        return self._call("exchange.open", said.OpenObject(said.Caller(HOME, http=proof), object_id))

    def _open_session(self, object_id: str, session: str) -> str:
        caller = said.Caller(HOME, session=said.SessionProof(session))
        return self._call("exchange.open", said.OpenObject(caller, object_id))

    def _ssh(self, client_id: str) -> str:
        sign_in = said.SshSignIn(client_id, os.urandom(51), os.urandom(32), os.urandom(180), os.urandom(83), HOME)
        return self._call("identity.ssh_sign_in", sign_in)

    def _call(self, verb: str, body: object) -> str:
        try:
            self._keeper.call(verb, body, dict)  # type: ignore[arg-type]  # any verb's body
        except KetenError as error:
            return error.code
        return "opened"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._keeper.close()
