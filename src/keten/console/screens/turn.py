"""One request of somebody who may make it: what it reads, what it tells the keeper, and the page that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from keten.console import wording
from keten.console.page import ROOM
from keten.console.readings.desk import Desk, Reading
from keten.core.errors import NotFound
from keten.core.ids import is_id
from keten.identity.roles import only_own
from keten.keeper.people_protocol import Authorised, Finished
from keten.pages import asking
from keten.pages.rendering import render
from keten.pages.signing import frame
from keten.pages.stepping import Act, confirm
from keten.pages.visits import Site, Visit, answered, moved
from keten.pages.words import Words

T = TypeVar("T")
MOST_QUERY = 200


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A request. found: who it is and what that person may do. form: its fields, where it is one."""

    desk: Desk
    site: Site
    visit: Visit
    found: Authorised
    request: Request
    form: dict[str, str] = {}

    @property
    def words(self) -> Words:
        """The language of the page."""
        return self.visit.words

    def may(self, act: str) -> bool:
        """Whether this person may do this; what is only shown by it is still asked of the keeper when it is done."""
        return act in self.found.person.acts

    def owner(self, act: str) -> str:
        """Whose datasets this person does this with: its own alone (then its id), or "" for all of them."""
        return self.found.person.id if only_own(self.found.person.roles, act) else ""

    def id(self, name: str = "id") -> str:
        """A random id in the path. Raises `NotFound` for what can't be one."""
        value = str(self.request.path_params.get(name, ""))
        if not is_id(value):
            raise NotFound("not-found", "There is no such page.")
        return value

    def asked(self, name: str) -> str:
        """A word of the query, "" where there is none or it is too long to be meant."""
        value = self.request.query_params.get(name, "").strip()
        return value if len(value) <= MOST_QUERY and value.isprintable() else ""

    def page_asked(self) -> int:
        """Which page of a list is asked for; 1 for what is no number."""
        number = self.asked("page")
        return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1

    @staticmethod
    def listed(wanted: str, number: int) -> str:
        """The query of a page of a list: those whose name holds a word, and which page of them."""
        asked = {"q": wanted} if wanted else {}
        asked |= {"page": str(number)} if number > 1 else {}
        return f"?{urlencode(asked)}" if asked else ""

    async def read(self, take: Callable[[Reading], T], *, folded: bool = False) -> T:
        """One reading of the database, in a thread of its own."""
        return await run_in_threadpool(self.desk.read, take, folded=folded)

    async def aside(self, work: Callable[[], T]) -> T:
        """Work that takes files or time, in a thread of its own."""
        return await run_in_threadpool(work)

    async def do(self, verb: str, body: msgspec.Struct, answer: type[T], finished: Finished | None = None) -> T:
        """A verb of the keeper, by this person. Raises `KetenError` as the keeper did."""
        return await asking.do(self.site, self.visit, verb, body, answer, finished)

    @property
    def finished(self) -> Finished:
        """What the browser's authenticator said, as the form carries it."""
        return asking.finished(self.visit, self.form)

    async def confirm(self, verb: str, body: msgspec.Struct, act: Act) -> Response:
        """The page on which a passkey confirms a dangerous act."""
        return answered(self.site, self.visit, await confirm(self.site, self.visit, self.found, verb, body, act))

    def page(self, template: str, *, status: int = 200, query: str = "", **values: Any) -> Response:
        """A page. query: what the same page in another language is asked with."""
        around = msgspec.structs.replace(frame(self.site, self.visit, self.found), query=query)
        named = {"role_name": lambda role: wording.role(self.words, role), "row_words": wording.ROWS}
        body = render(template, self.words, around, ROOM, may=self.may, **named, **values)
        return answered(self.site, self.visit, body, status)

    def moved(self, path: str) -> Response:
        """To another page."""
        return moved(self.site, self.visit, path)
