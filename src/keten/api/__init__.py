"""The organisation's own interface for programs, `/api`, which the console's process serves: each verb of its screens.

It translates between JSON and what the keeper is told, and decides nothing.
"""
