"""A narrative becomes sentences, and each sentence the noun phrases that can name an object of the photo.

Every sentence is a query of its own (docs/formats: Localized Narratives). What counts as a phrase is said in
``language.phrases``, what as an object in ``language/not_objects.yaml``.
"""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec
import spacy

from xdetr_data.language.lexicon import Lexicon
from xdetr_data.language.not_objects import LONGEST_BEFORE, NotObjects, PhraseInContext, load_rules
from xdetr_data.language.number import PhraseNumber
from xdetr_data.language.phrases import FoundPhrase, PhraseGrammar
from xdetr_data.language.pipeline import choose_model, load_pipeline
from xdetr_data.language.sentences import cut_sentences
from xdetr_data.language.tokens import POSSESSIVE, TokenClasses, Tokens
from xdetr_data.language.words import load_words
from xdetr_data.spans import Span

_BATCH = 64
# A memory zone forgets its words, and to meet a word for the first time takes as long as to tag several: the words of
# so many captions stay for the worker's life.
_COMMON = 2048
_DETERMINERS = "dkc"


class Mention(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A phrase that can name an object.

    Attributes:
        spans: where it stands in the sentence; one span.
        head: lemma of the head noun, lower case.
        is_plural: whether it names several objects.
        count: how many, or None where the words do not tell. "a" is 1, "a couple of" 2, "several" None.
    """

    spans: tuple[Span, ...]
    head: str
    is_plural: bool
    count: int | None


class NarrativeSentence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``text == caption[begin:end]``; mentions are in order and disjoint, their spans count from ``begin``."""

    begin: int
    end: int
    text: str
    mentions: tuple[Mention, ...]


class NounPhrases:
    """A batch stage: ``load()`` once in each worker, then captions in, sentences with their mentions out."""

    def __init__(self, model: str | None = None) -> None:
        """Chooses spaCy's small English model unless one is named; raises ConfigError where none is installed."""
        self.model = choose_model(model)
        self._fingerprint = ""

    def load(self) -> None:
        """Loads the model; raises ConfigError where it is not installed or not fit."""
        words = load_words()
        self._nlp = load_pipeline(self.model)
        self._lexicon = Lexicon(self._nlp)
        self._classes = TokenClasses(words, self._lexicon)
        self._grammar = PhraseGrammar(words, self._lexicon)
        self._number = PhraseNumber(words)
        self._not_objects = NotObjects(load_rules())
        self._common_left = _COMMON
        self._fingerprint = f"{self.model} {self._nlp.meta['version']}, spacy {spacy.__version__}"

    @property
    def fingerprint(self) -> str:
        """Model and library with their versions, for the manifest; only after ``load()``."""
        assert self._fingerprint, "load() comes first"
        return self._fingerprint

    def __call__(self, captions: Sequence[str]) -> list[tuple[NarrativeSentence, ...]]:
        """For each caption its sentences; total on any text."""
        common = captions[: self._common_left]
        self._common_left -= len(common)
        found = self._tagged(common)
        with self._nlp.memory_zone():
            return found + self._tagged(captions[len(common) :])

    def _tagged(self, captions: Sequence[str]) -> list[tuple[NarrativeSentence, ...]]:
        documents = self._nlp.pipe(captions, batch_size=_BATCH)
        return [
            self._sentences(caption, self._classes(document, caption))
            for caption, document in zip(captions, documents, strict=True)
        ]

    def _sentences(self, caption: str, tokens: Tokens) -> tuple[NarrativeSentence, ...]:
        found = []
        for begin, end in cut_sentences(caption):
            first = bisect_left(tokens.begins, begin)
            last = bisect_left(tokens.begins, end, first)
            if last > first and tokens.ends[last - 1] > end:
                last -= 1  # a token that reaches into the next sentence belongs to neither
            mentions = tuple(
                self._mention(tokens, phrase, begin)
                for phrase in self._grammar(tokens, first, last)
                if self._is_object(tokens, phrase, first, last)
            )
            found.append(NarrativeSentence(begin=begin, end=end, text=caption[begin:end], mentions=mentions))
        return tuple(found)

    def _is_object(self, tokens: Tokens, phrase: FoundPhrase, begin: int, end: int) -> bool:
        """Whether the phrase of the sentence ``[begin, end)`` can name an object."""
        words, first, inner, last = tokens.words, phrase.first, phrase.inner, phrase.last
        head = words[last]
        if not (head[0].isalnum() or head[-1].isalnum()):
            return False
        cues = self._not_objects.cues
        has_cue = words[inner] in cues or (first > begin and words[first - 1] in cues)
        if not (has_cue or self._not_objects.concerns(head)):
            return True
        middle = inner
        while middle < last and tokens.classes[middle] in _DETERMINERS:
            middle += 1
        context = PhraseInContext(
            determiners=words[inner:middle],
            others=words[middle:last],
            head=head,
            before=words[max(begin, first - LONGEST_BEFORE) : first],
            after=words[last + 1] if last + 1 < end else "",
        )
        return self._not_objects.rule_for(context) is None

    def _mention(self, tokens: Tokens, phrase: FoundPhrase, sentence_begin: int) -> Mention:
        words, first, inner, last = tokens.words, phrase.first, phrase.inner, phrase.last
        is_plural_form = tokens.is_plural(last)
        owned = max(inner, tokens.classes.rfind(POSSESSIVE, inner, last) + 1)
        is_plural, count = self._number(words[first:inner], words[owned : last + 1], is_plural_form=is_plural_form)
        return Mention(
            spans=((tokens.begins[first] - sentence_begin, tokens.ends[last] - sentence_begin),),
            head=self._lexicon.lemma(words[last]) if is_plural_form else words[last],
            is_plural=is_plural,
            count=count,
        )
