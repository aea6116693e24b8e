"""What the instance lets this client fetch: shares and their files, as paths."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from keten.cli.progress import Counted
from keten.cli.supplier.session import Session
from keten.core.errors import Conflict, NotFound, Unavailable
from keten.core.ids import is_id

MAX_PAGES = 100_000


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
    """Every file that may be fetched now, by path; all pages of the list. Raises what the session raises."""
    found: list[Remote] = []
    query: dict[str, str] = {}
    with Counted("files") as shown:
        for _page in range(MAX_PAGES):
            page = _page_of(session, query)
            found += _files(page)
            if page.next is None:
                break
            shown.move_to(len(found))
            query = {"cursor": page.next}
        else:
            raise Unavailable("list-too-long", "The instance's list has no end.")
    return sorted(found, key=lambda remote: (remote.path, remote.id))


def looked_up(session: Session, asked: str) -> Remote:
    """The file with this id or path (the first slash may be left out); nothing else is listed.

    Raises `NotFound`, `Conflict` ("several"), and what the session raises.
    """
    queries = [{"object": asked}] if is_id(asked) else []
    queries.append({"path": "/" + asked.lstrip("/")})
    for query in queries:
        try:
            return choose(_files(_page_of(session, query)), asked)
        except NotFound:
            continue
    return choose([], asked)


def _page_of(session: Session, query: dict[str, str]) -> _Page:
    path = "/v1/shares" + ("?" + urlencode(query) if query else "")
    answer = session.ask("GET", path)
    try:
        return msgspec.json.decode(answer.body, type=_Page)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Unavailable("not-keten", "The instance's list cannot be read.", str(error)) from error


def _files(page: _Page) -> list[Remote]:
    return [
        Remote(
            f"/{share.label}/{one.name}",
            one.id,
            one.size,
            one.digest,
            one.valid_until or share.valid_until,
            one.name,
        )
        for share in page.shares
        for one in share.objects
    ]


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
