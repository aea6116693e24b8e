"""What the instance lets this client fetch: shares and their files, as paths."""

from __future__ import annotations

import msgspec

from keten.cli.supplier.session import Session
from keten.core.errors import Conflict, NotFound, Unavailable

MAX_PAGES = 10_000


class _Object(msgspec.Struct, frozen=True):
    id: str
    name: str
    size: int
    digest: str
    valid_until: str = ""


class _Share(msgspec.Struct, frozen=True):
    id: str
    label: str
    valid_until: str
    objects: tuple[_Object, ...]


class _Page(msgspec.Struct, frozen=True):
    shares: tuple[_Share, ...]
    next: str | None = None


class Remote(msgspec.Struct, frozen=True):
    """A file that may be fetched. `digest` as in RFC 9530; `valid_until` RFC 3339."""

    path: str
    id: str
    size: int
    digest: str
    valid_until: str
    name: str


def remotes(session: Session) -> list[Remote]:
    """Every file that may be fetched now, by path. Raises what the session raises."""
    found: list[Remote] = []
    path = "/v1/shares"
    for _page in range(MAX_PAGES):
        answer = session.ask("GET", path)
        try:
            page = msgspec.json.decode(answer.body, type=_Page)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Unavailable("not-keten", "The instance's list cannot be read.", str(error)) from error
        for share in page.shares:
            for one in share.objects:
                where = f"/{share.label}/{one.name}"
                until = one.valid_until or share.valid_until
                found.append(Remote(where, one.id, one.size, one.digest, until, one.name))
        if page.next is None or not page.next.startswith("/v1/shares"):
            break
        path = page.next
    return sorted(found, key=lambda remote: (remote.path, remote.id))


def choose(found: list[Remote], asked: str) -> Remote:
    """The file with this path (the first slash may be left out) or id. Raises `NotFound`, `Conflict` ("several")."""
    wanted = "/" + asked.lstrip("/")
    by_id = [one for one in found if one.id == asked]
    chosen = list({one.id: one for one in (by_id or [one for one in found if one.path == wanted])}.values())
    if not chosen:
        raise NotFound("absent", f"There is nothing at {asked} for you, or no longer: 'keten ls' shows what there is.")
    if len(chosen) > 1:
        raise Conflict("several", f"{len(chosen)} files have the path {asked}; take one by its id, see 'keten ls'.")
    return chosen[0]
