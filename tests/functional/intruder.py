"""What somebody who broke into the gateway can do: run as the gateway's user, by test_users.py, never imported.

Reads on stdin what to try, as JSON; prints what came of it, as JSON.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from keten.core.errors import KetenError
from keten.drills.impostor import HOME, Impostor
from keten.drills.supplier import SupplierSystem
from keten.keeper import protocol as said
from keten.keeper.client import KeeperClient

_PTRACE_ATTACH = 16  # ptrace(2)


class _Range(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def outcome(attempt: Callable[[], object]) -> str:
    """ "done", or the name of the error."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except KetenError as error:
        return error.code
    return "done"


def opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))


def made_in(folder: str) -> None:
    path = f"{folder}/.intruder"
    opened(path, os.O_WRONLY | os.O_CREAT)
    Path(path).unlink()


def files(paths: Iterable[str]) -> dict[str, list[str]]:
    """Of everything there is: what can be read, written, and in which folders something can be made."""
    found: dict[str, list[str]] = {"readable": [], "writable": []}
    for path in paths:
        if outcome(partial(opened, path, os.O_RDONLY)) == "done":
            found["readable"].append(path)
        if "done" in (outcome(partial(opened, path, os.O_WRONLY)), outcome(partial(made_in, path))):
            found["writable"].append(path)
    return found


def sockets(paths: Iterable[str]) -> dict[str, str]:
    """Whether each socket lets us in."""
    found = {}
    for path in paths:
        with socket.socket(socket.AF_UNIX) as one:
            found[path] = outcome(partial(one.connect, path))
    return found


def memory(pid: int) -> dict[str, str]:
    """Every way to another process's memory that the kernel has."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace() -> None:
        if libc.ptrace(_PTRACE_ATTACH, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def vm_read() -> None:
        into = ctypes.create_string_buffer(8)
        ours = _Range(ctypes.cast(into, ctypes.c_void_p), 8)
        theirs = _Range(0x400000, 8)
        if libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) < 0:
            raise OSError(ctypes.get_errno(), "process_vm_readv")

    tries: dict[str, Callable[[], object]] = {
        name: partial(opened, f"/proc/{pid}/{name}", os.O_RDONLY) for name in ("mem", "environ", "maps")
    }
    tries |= {
        "fd": lambda: list(Path(f"/proc/{pid}/fd").iterdir()),
        "root": lambda: list(Path(f"/proc/{pid}/root/").iterdir()),
        "ptrace": ptrace,
        "process_vm_readv": vm_read,
        "signal": partial(os.kill, pid, 0),
    }
    return {name: outcome(attempt) for name, attempt in tries.items()}


def gateway_calls(task: dict[str, Any]) -> dict[str, Any]:
    """What the keeper says to a gateway in an intruder's hands."""
    system = SupplierSystem(
        task["url"], Path(task["ca"]), task["client"], load_ssh_private_key(task["key"].encode(), None)  # type: ignore[arg-type]
    )
    system.token = task["token"]
    found: dict[str, Any] = {}
    with Impostor(Path(task["socket"])) as impostor:
        found["tries"] = impostor.tries(task["own"], system) | {
            f"{name}, for another's": what for name, what in impostor.tries(task["others"], system).items()
        }
    witnessed = said.HttpProof(task["token"], task["proof"], "GET", task["proof_url"])
    sign_in = msgspec.msgpack.decode(base64.b64decode(task["ssh"]), type=said.SshSignIn)
    with KeeperClient(Path(task["socket"])) as keeper:
        keeper.call("keeper.hello", said.Hello("gateway", "0"), said.Welcome)

        def http(name: str) -> str:
            body = said.OpenObject(said.Caller(HOME, http=witnessed), name)
            return outcome(lambda: keeper.call("exchange.open", body, said.Opened))

        # The caller's proof names the address of one object; it counts once, whatever it is shown for.
        found["witnessed proof"] = [http(task["own"]), http(task["own"])]
        sessions = []

        def sign_in_once() -> None:
            sessions.append(keeper.call("identity.ssh_sign_in", sign_in, said.SessionOpened).session)

        def sftp(name: str) -> str:
            body = said.OpenObject(said.Caller(HOME, session=said.SessionProof(sessions[0])), name)
            return outcome(lambda: keeper.call("exchange.open", body, said.Opened))

        found["witnessed signature"] = [outcome(sign_in_once) for _ in range(2)]
        found["its session"] = [sftp(task["own"]), sftp(task["others"])]
        keeper.call("identity.ssh_end", said.SessionEnd(sessions[0]), said.Nothing)
        found["its session, ended"] = sftp(task["own"])
        altered = msgspec.structs.replace(sign_in, session_id=bytes(32))
        found["signature of another session"] = outcome(
            lambda: keeper.call("identity.ssh_sign_in", altered, said.SessionOpened)
        )
    return found


def in_the_clear(store: str, known: list[str]) -> list[str]:
    """Which of the known texts stand in what lies in the store."""
    found = set()
    blobs = [path for path in Path(store).rglob("*") if path.is_file()]
    for path in blobs:
        content = path.read_bytes()
        found |= {text for text in known if text.encode() in content}
    return [*sorted(found), *([] if blobs else ["nothing was looked at"])]


def main() -> None:
    """Try everything."""
    task = json.loads(sys.stdin.read())
    if "keeper" not in task:
        print(json.dumps({"memory": memory(task["pid"])}))
        return
    result: dict[str, Any] = {
        "user": os.geteuid(),
        "files": files(task["paths"]),
        "sockets": sockets(task["sockets"]),
        "memory": memory(task["keeper"]),
        "in the clear": in_the_clear(task["store"], task["known"]),
        **gateway_calls(task),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
