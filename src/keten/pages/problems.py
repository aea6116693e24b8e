"""What went wrong, as a page: one table from an error's category to its status and words."""

from __future__ import annotations

from starlette.responses import Response

from keten.core.errors import KetenError
from keten.pages.forms import safe_next
from keten.pages.rendering import Frame, message
from keten.pages.sayings import SAYINGS
from keten.pages.visits import Site, Visit, answered, closed, frame_of, marked
from keten.pages.words import N_, Words

SIGNED_OUT = ("session-ended",)
"""Codes of the keeper for a session that is none, or is over."""
_HEADINGS = {
    "denied": (403, N_("This is not allowed")),
    "not-found": (404, N_("There is no such page")),
    "invalid": (400, N_("This could not be done as it was asked")),
    "conflict": (409, N_("This cannot be done as things are now")),
    "busy": (429, N_("Too much at once; try again in a moment")),
    "unavailable": (503, N_("This is not available now; nothing was changed")),
    "corrupt": (500, N_("What is kept here does not hold; nothing was changed")),
}
_NOT_KNOWN = N_("It is not known whether this was done")
_OWN = {
    "link-invalid": N_("This link does not work"),
    "keeper-gone": _NOT_KNOWN,  # it was asked, and did not say what became of it
    "keeper-error": _NOT_KNOWN,
}
"""Headings that say more than the category's."""


def said(words: Words, error: KetenError) -> str:
    """What an error says to a reader: by its code where there are words for it, else its public sentence."""
    if error.code in SAYINGS:
        return words.gettext(SAYINGS[error.code])
    sentence = words.reason(error.code)
    return sentence if sentence != error.code else error.public


def problem(site: Site, visit: Visit, error: KetenError, around: Frame | None = None) -> Response:
    """The page of an error; somebody whose session is over is brought to where one signs in. around: for its reader."""
    if error.category == "denied" and error.code in SIGNED_OUT:
        wanted = safe_next(visit.path)
        then = f"?next={wanted}" if wanted else ""
        response = Response(status_code=303, headers={"location": f"{visit.link('/sign-in')}{then}"})
        return marked(site, visit, closed(site, response) if visit.session else response)
    status, general = _HEADINGS.get(error.category, _HEADINGS["unavailable"])
    heading = _OWN.get(error.code, general)
    words = visit.words
    frame = around or frame_of(visit, enter=False)
    body = message(words, frame, words.gettext(heading), said(words, error))
    return answered(site, visit, body, status)
