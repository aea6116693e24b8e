"""What went wrong, as a page: one table from an error's category to its status and words."""

from __future__ import annotations

from starlette.responses import Response

from keten.core.errors import KetenError
from keten.pages.rendering import Frame, message
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
_UNSURE = ("keeper-gone", "keeper-error")
"""Codes of a keeper that was asked and did not say what became of it."""
_NOT_KNOWN = N_("It is not known whether this was done")
_SAID = {
    "foreign-form": N_(
        "This form did not come from a page of this site, or is of an earlier visit. Open the page anew."
    ),
    "form": N_("The form could not be read."),
    "not-found": N_("It is not there, or not for you to see."),
    "act": N_("None of your roles allows this. Ask an administrator if you need it."),
    "keeper-unreachable": N_("The keeper cannot be reached. Ask whoever runs this system."),
    "keeper-gone": N_("The keeper stopped before it answered. Look whether it was done before you try again."),
    "keeper-error": N_("Something went wrong in the keeper. Look whether it was done before you try again."),
    "no-name": N_("Passkeys do not work at this address. Ask whoever runs this system for its address by name."),
    "origin": N_("This site does not have an address at which passkeys work. Ask whoever runs this system."),
}


def said(words: Words, error: KetenError) -> str:
    """What an error says to a reader: by its code where there are words for it, else its public sentence."""
    if error.code in _SAID:
        return words.gettext(_SAID[error.code])
    sentence = words.reason(error.code)
    return sentence if sentence != error.code else error.public


def problem(site: Site, visit: Visit, error: KetenError, around: Frame | None = None) -> Response:
    """The page of an error; somebody whose session is over is brought to where one signs in. around: for its reader."""
    if error.category == "denied" and error.code in SIGNED_OUT:
        response = Response(status_code=303, headers={"location": f"{visit.link('/sign-in')}?next={visit.path}"})
        return marked(site, visit, closed(site, response) if visit.session else response)
    status, heading = _HEADINGS.get(error.category, _HEADINGS["unavailable"])
    if error.code in _UNSURE:
        heading = _NOT_KNOWN
    words = visit.words
    frame = around or frame_of(visit, enter=False)
    body = message(words, frame, words.gettext(heading), said(words, error))
    return answered(site, visit, body, status)
