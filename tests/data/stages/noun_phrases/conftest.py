"""The stage, loaded once for the package's tests."""

import pytest

from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases


@pytest.fixture(scope="session")
def noun_phrases() -> NounPhrases:
    stage = NounPhrases()
    stage.load()
    return stage
