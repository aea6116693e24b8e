"""Families of theft: those that detectors may be tuned on, and those that nobody tunes on."""
