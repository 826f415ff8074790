"""Stages: one pure step per file; stages do not import each other."""
