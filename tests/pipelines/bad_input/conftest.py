"""Hundreds of tiny builds: none of them needs to survive a power cut."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of a tiny build's time; ``tests/data/test_storage.py`` tests that it happens."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
