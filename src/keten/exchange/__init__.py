"""Files, and later releases, lookups and intake: the one door through which data leaves."""
