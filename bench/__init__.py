"""Measurements: one command per figure, each as a ratio to a named peer or a physical limit in the same run."""
