"""Sealed content and the keys to it: frames, content keys under dataset keys, and people's data under their own key."""
