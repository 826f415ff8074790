"""Procedural photos with every input format and the truth."""
