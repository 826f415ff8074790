"""What the model's own lemmatizer knows of single words: which can be nouns or adjectives, and the lemma of a noun."""

from functools import lru_cache

from spacy.language import Language
from spacy.tokens import Doc

from xdetr_data.errors import ConfigError

_LEMMAS_KEPT = 1 << 16


class Lexicon:
    """Looks single words up; holds no token or document, so it outlives spaCy's memory zones."""

    def __init__(self, nlp: Language) -> None:
        """Raises ConfigError where the pipeline brings no English word lists."""
        name = f"{nlp.meta['lang']}_{nlp.meta['name']}"
        if "lemmatizer" not in nlp.component_names:
            raise ConfigError(f"spaCy model {name} has no lemmatizer: choose an English one such as en_core_web_sm")
        self._lemmatizer = nlp.get_pipe("lemmatizer")
        if not self._lemmatizer.lookups.has_table("lemma_index"):
            raise ConfigError(f"spaCy model {name} has no lemma_index: choose an English one such as en_core_web_sm")
        index = self._lemmatizer.lookups.get_table("lemma_index")
        self.nouns = frozenset(index["noun"])
        self.adjectives = frozenset(index["adj"])
        self.adverbs = frozenset(index["adv"])
        self.verbs = frozenset(index["verb"])
        self._vocab = nlp.vocab
        #: The lemma of a plural noun; a word that the lists do not know is taken by its ending.
        self.lemma = lru_cache(_LEMMAS_KEPT)(self._lemma)

    def _lemma(self, plural: str) -> str:
        doc = Doc(self._vocab, words=[plural], pos=["NOUN"], morphs=["Number=Plur"])
        return str(self._lemmatizer.rule_lemmatize(doc[0])[0]).lower()
