"""What the screens of the faces share: the look, the languages, who is at the browser, and the passkey ceremonies.

Console and portal build their pages with it; neither may import the other. It knows no verb but those about people
(`keeper/people_protocol.py`), reads no database, and decides nothing: the keeper does.

    words, reasons   texts, numbers and moments in a language
    rendering        templates with what every page has around them
    guard            security headers on every answer, under own names only
    visits           who is at the browser: cookies, what tells one browser from another, the token of a form
    forms            what a form said, once it is certain that it came from a page of this site
    signing          sign in, enrol with a link, sign out; own keys and sessions
    seen             screens for whoever is signed in and may see them
    names            the one name of a face, to which other names lead
    problems         errors as pages, and what they say (sayings)
    stepping         a fresh assertion before a dangerous act
"""
