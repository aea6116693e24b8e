"""The console's screens: each a page that somebody signed in asks for, and what it sends to the keeper."""
