"""Every operation of every channel, and the keeper's verb without which it gives nothing (law 3, one door).

The HTTPS application is built from `HTTPS`. `SFTP` names every method of the SFTP library's server interface, and
what ours does with it. A test enumerates routes and methods and fails when one is not here.
"""

from __future__ import annotations

import msgspec


class HttpsOperation(msgspec.Struct, frozen=True):
    """A route. `handler`: a method of `http.Gateway`. `verb`: what the keeper is asked, or "" and `why`."""

    name: str
    methods: tuple[str, ...]
    path: str
    handler: str
    verb: str
    why: str = ""


class SftpOperation(msgspec.Struct, frozen=True):
    """A method of the SFTP server interface. `verb`: what is asked of the keeper; "" with `why` when nothing is."""

    method: str
    answer: str
    verb: str
    why: str = ""


# The most frequent first: routes are tried in this order.
HTTPS: tuple[HttpsOperation, ...] = (
    HttpsOperation("object", ("GET", "HEAD"), "/v1/objects/{id}", "object", "exchange.open"),
    HttpsOperation(
        "metadata",
        ("GET", "HEAD"),
        "/.well-known/oauth-authorization-server",
        "metadata",
        "",
        "public: where and how to sign in (RFC 8414)",
    ),
    HttpsOperation("token", ("POST",), "/oauth/token", "token", "identity.token"),
    HttpsOperation("shares", ("GET", "HEAD"), "/v1/shares", "shares", "exchange.shares"),
    HttpsOperation("share", ("GET", "HEAD"), "/v1/shares/{id}", "share", "exchange.shares"),
    HttpsOperation("more", ("GET", "POST"), "/v1/shares/{id}/more", "more", "budgets.more"),
    HttpsOperation("lookup", ("GET", "POST"), "/v1/lookups/{id}", "lookup", "exchange.lookup"),
    HttpsOperation(
        "openapi", ("GET", "HEAD"), "/openapi.json", "openapi", "", "public: the description of this interface"
    ),
    HttpsOperation(
        "ledger",
        ("GET", "HEAD"),
        "/ledger/{name:path}",
        "ledger",
        "",
        "public by design: checkpoint, hashes, ids and commitments; nothing personal or linkable",
    ),
    HttpsOperation("health", ("GET", "HEAD"), "/healthz", "health", "keeper.health"),
)

READ_ONLY = "permission denied: reading only"
HIDDEN = "no such file: there are no links"

SFTP: tuple[SftpOperation, ...] = (
    SftpOperation("open", "a handle, for reading", "exchange.open"),
    SftpOperation("open56", "a handle, for reading (never offered: version 3 is spoken)", "exchange.open"),
    SftpOperation("close", "ends the access; what was delivered is recorded", "exchange.delivered"),
    SftpOperation("read", "bytes of an open handle", "", "the handle is an access that the keeper opened"),
    SftpOperation("scandir", "names of a folder", "exchange.shares"),
    SftpOperation("stat", "size and time of a name", "exchange.shares"),
    SftpOperation("lstat", "size and time of a name", "exchange.shares"),
    SftpOperation("fstat", "size and time of an open handle", "", "the handle is an access that the keeper opened"),
    SftpOperation("realpath", "the normalised path; says nothing of what is there", "", "no data"),
    SftpOperation("statvfs", "operation not supported", "", "no data"),
    SftpOperation("fstatvfs", "operation not supported", "", "no data"),
    SftpOperation("readlink", HIDDEN, "", "no data"),
    SftpOperation("symlink", READ_ONLY, "", "no data"),
    SftpOperation("link", READ_ONLY, "", "no data"),
    SftpOperation("write", READ_ONLY, "", "no data"),
    SftpOperation("setstat", READ_ONLY, "", "no data"),
    SftpOperation("lsetstat", READ_ONLY, "", "no data"),
    SftpOperation("fsetstat", READ_ONLY, "", "no data"),
    SftpOperation("mkdir", READ_ONLY, "", "no data"),
    SftpOperation("rmdir", READ_ONLY, "", "no data"),
    SftpOperation("remove", READ_ONLY, "", "no data"),
    SftpOperation("rename", READ_ONLY, "", "no data"),
    SftpOperation("posix_rename", READ_ONLY, "", "no data"),
    SftpOperation("lock", "operation not supported", "", "no data"),
    SftpOperation("unlock", "operation not supported", "", "no data"),
    SftpOperation("fsync", READ_ONLY, "", "no data"),
    SftpOperation("exit", "ends every access of the session", "exchange.delivered"),
)
