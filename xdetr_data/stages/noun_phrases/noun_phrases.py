"""A narrative becomes sentences, and each sentence the noun phrases that can name an object of the photo.

Every sentence is a query of its own (as in Localized Narratives). What counts as a phrase is said in
``language.phrases``, what as an object in ``language/not_objects.yaml``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import spacy

from xdetr_data.spans import Span
from xdetr_data.stages.noun_phrases.lexicon import Lexicon
from xdetr_data.stages.noun_phrases.not_objects import FARTHEST, NotObjects, PhraseInContext, load_rules
from xdetr_data.stages.noun_phrases.number import PhraseNumber
from xdetr_data.stages.noun_phrases.phrases import FoundPhrase, PhraseGrammar
from xdetr_data.stages.noun_phrases.pipeline import blank_unreadable, choose_model, load_pipeline
from xdetr_data.stages.noun_phrases.sentences import cut_sentences
from xdetr_data.stages.noun_phrases.tokens import DETERMINERS, PLURAL_TAGS, POSSESSIVE, TokenClasses, Tokens
from xdetr_data.stages.noun_phrases.words import load_words

_BATCH = 32  # larger ones leave the cache
# A memory zone forgets its words, and to meet a word for the first time takes as long as to tag several: the words of
# so many captions stay for the worker's life.
_COMMON = 2048
_PHRASES_KEPT = 1 << 16


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
        self._lexicon = Lexicon(self._nlp, words)
        self._classes = TokenClasses(words, self._lexicon)
        self._grammar = PhraseGrammar(words, self._lexicon)
        self._number = PhraseNumber(words)
        self._not_objects = NotObjects(load_rules())
        self._describe = lru_cache(_PHRASES_KEPT)(self._describe_phrase)  # the same few are said again and again
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
        documents = self._nlp.pipe(map(blank_unreadable, captions), batch_size=_BATCH)
        return [
            self._sentences(caption, self._classes(document, caption))
            for caption, document in zip(captions, documents, strict=True)
        ]

    def _sentences(self, caption: str, tokens: Tokens) -> tuple[NarrativeSentence, ...]:
        found = []
        begins = tokens.begins
        for begin, end in cut_sentences(caption):
            first = bisect_left(begins, begin)
            last = bisect_left(begins, end, first)
            if last > first and tokens.ends[last - 1] > end:
                last -= 1  # a token that reaches into the next sentence belongs to neither
            mentions = self._mentions(tokens, first, last, begin)
            found.append(NarrativeSentence(begin=begin, end=end, text=caption[begin:end], mentions=mentions))
        return tuple(found)

    def _mentions(self, tokens: Tokens, begin: int, end: int, sentence_begin: int) -> tuple[Mention, ...]:
        """The mentions among the tokens ``[begin, end)`` of a sentence that begins at a character."""
        words, tags, classes, begins, ends = tokens.words, tokens.tags, tokens.classes, tokens.begins, tokens.ends
        heads, cues = self._not_objects.heads, self._not_objects.cues
        found = []
        for phrase in self._grammar(tokens, begin, end):
            first, inner, last = phrase.first, phrase.inner, phrase.last
            head = words[last]
            # Most phrases concern no rule; words[-1] only sends a sentence's first phrase the long way.
            is_suspect = head in heads or words[inner] in cues or words[first - 1] in cues
            if is_suspect and self._is_dropped(tokens, phrase, begin, end):
                continue
            if not (head[0].isalnum() or head[-1].isalnum()):
                continue
            own = max(inner, classes.rfind(POSSESSIVE, inner, last) + 1)  # a possessor's number is not its thing's
            is_plural_form = tags[last] in PLURAL_TAGS
            lemma, is_plural, count = self._describe(
                tuple(words[first : last + 1]), inner - first, own - first, is_plural_form
            )
            span = (begins[first] - sentence_begin, ends[last] - sentence_begin)
            found.append(Mention(spans=(span,), head=lemma, is_plural=is_plural, count=count))
        return tuple(found)

    def _describe_phrase(
        self, words: tuple[str, ...], inner: int, own: int, is_plural_form: bool
    ) -> tuple[str, bool, int | None]:
        """Lemma of the head, plurality and count; the arguments are ``PhraseNumber``'s."""
        is_plural, count = self._number(words, inner, own, is_plural_form=is_plural_form)
        lemma = self._lexicon.lemma(words[-1]) if is_plural or is_plural_form else words[-1]
        return lemma, is_plural, count

    def _is_dropped(self, tokens: Tokens, phrase: FoundPhrase, begin: int, end: int) -> bool:
        """Whether a rule says that the phrase of the sentence ``[begin, end)`` names no object."""
        words, first, inner, last = tokens.words, phrase.first, phrase.inner, phrase.last
        middle = inner
        while middle < last and tokens.classes[middle] in DETERMINERS:
            middle += 1
        context = PhraseInContext(
            determiners=words[inner:middle],
            others=words[middle:last],
            head=words[last],
            before=words[max(begin, first - FARTHEST) : first],
            after=words[last + 1 : min(end, last + 1 + FARTHEST)],
        )
        return self._not_objects.rule_for(context) is not None
