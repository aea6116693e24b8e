"""The portal's screens, for people of suppliers: what is shared with me, my log, my people, my keys.

The gateway serves them on a listener of its own (`gateway/portal.py`) and gives them a `Door`: the keeper's verbs, and
content. They decide nothing and keep no register; what they show, the keeper has told this very person.

    site     what the portal is: its menu, its door
    asking   the portal's verbs of the keeper
    kept     what a page that refreshes itself shows again
    shares   what is shared with me: until when, what is left, why not any more; files to download
    log      what is recorded about me
    people   a contact's people: invite, end
    wording  kinds of entry, states and budgets in words
    web      the application
"""
