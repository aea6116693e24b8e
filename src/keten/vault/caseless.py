"""When two texts are the same to people: in another case, composed otherwise, in a compatibility form."""

from __future__ import annotations

import unicodedata


def caseless(text: str) -> str:
    """The compatibility caseless form of a text, composed (The Unicode Standard 15.0, section 3.13, D146; then NFKC).

    The form of a form is that form itself. Half a surrogate is left as it is.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())
