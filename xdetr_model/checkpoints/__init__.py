"""Checkpoints: written, read, and made of published weights."""
