"""Torn and reordered writes: a recorded run, and every state that a disk may hold after a crash at any moment of it."""
