"""The console: the organisation's own view. One page for now: who has what, what just ended, the state of the proof.

It reads the database read-only and the public ledger; it has no key, and changes nothing.
"""
