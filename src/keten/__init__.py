"""Keten: share sensitive data with third parties and stay in control of it."""

__version__ = "0.1.0"
