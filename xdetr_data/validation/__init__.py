"""Checks of a finished dataset: everything a training run relies on, and every violation by name."""
