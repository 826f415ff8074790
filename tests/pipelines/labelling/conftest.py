"""Many tiny runs in one process: the language pipeline is loaded once, and no disk has to be waited for."""

import os
from functools import cache

import pytest

from xdetr_data.stages.noun_phrases import noun_phrases
from xdetr_data.stages.noun_phrases.pipeline import load_pipeline

_load_once = cache(load_pipeline)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noun_phrases, "load_pipeline", _load_once)
    monkeypatch.setattr(os, "fsync", lambda _: None)
