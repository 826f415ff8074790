"""What the model's own lemmatizer knows of single words: which can be nouns or adjectives, and the lemma of a noun."""

from typing import Any

from spacy.language import Language
from spacy.lookups import Lookups
from spacy.tokens import Doc

from xdetr_data.errors import ConfigError
from xdetr_data.stages.noun_phrases.words import Words


class Lexicon:
    """Looks single words up; holds no token or document, so that it outlives spaCy's memory zones."""

    def __init__(self, nlp: Language, words: Words) -> None:
        """Raises ConfigError where the pipeline brings no English word lists."""
        tables = ("lemma_index", "lemma_exc", "lemma_rules")
        lemmatizer: Any = nlp.get_pipe("lemmatizer") if "lemmatizer" in nlp.component_names else None
        lookups = getattr(lemmatizer, "lookups", Lookups())
        if nlp.lang != "en" or not all(map(lookups.has_table, tables)):
            name = f"{nlp.lang}_{nlp.meta['name']}"
            raise ConfigError(f"spaCy model {name} has no English word lists: choose one such as en_core_web_sm")
        self._lemmatizer = lemmatizer
        index = lookups.get_table("lemma_index")
        self.nouns = frozenset(index["noun"])
        self.adjectives = frozenset(index["adj"])
        self.adverbs = frozenset(index["adv"])
        #: Base forms, and the irregular others ("built").
        self.verbs = frozenset(index["verb"]) | frozenset(lookups.get_table("lemma_exc")["verb"])
        self._irregular = frozenset(lookups.get_table("lemma_exc")["noun"])
        self._pairs = words.pairs
        self._vocab = nlp.vocab

    def lemma(self, plural: str) -> str:
        """The lemma of a plural noun: "scissors" stays, a word that the lists do not know is taken by its ending."""
        if plural in self._pairs:
            return plural
        doc = Doc(self._vocab, words=[plural], pos=["NOUN"], morphs=["Number=Plur"])
        lemmas = [str(lemma).lower() for lemma in self._lemmatizer.rule_lemmatize(doc[0])]
        # Of a regular plural's stems the longest is the everyday one: "vases" are rather vases than vasa.
        return lemmas[0] if plural in self._irregular else max(lemmas, key=len)
