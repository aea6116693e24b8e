"""Whoever holds every key and every file that is left, and looks for what was erased."""
