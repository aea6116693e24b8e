"""Copies from which an instance lives on: made while it serves, read back into a log that continues the old one."""
