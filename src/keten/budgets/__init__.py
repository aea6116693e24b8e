"""How many distinct records a client may still receive under a grant, in a calendar window (law 12)."""
