"""What part a word can play in a noun phrase: one letter for each token, so that a phrase is a regular expression.

Tags are enough. Noun chunks, which rest on the dependency parse, find fewer of the phrases that people marked
(docs/benchmarks/noun_phrases.md), and the parse doubles the time: the small model parses the fragments of narratives
wrongly ("In the background, a dog sitting in the grass." has no verb), while it tags nearly all their words rightly.
Where a tag contradicts the word lists that the model brings, the lists win.
"""

from operator import add

import msgspec
from spacy.strings import get_string_id
from spacy.tokens import Doc

from xdetr_data.stages.noun_phrases.lexicon import Lexicon
from xdetr_data.stages.noun_phrases.words import Words

DETERMINER = "d"
QUANTITY = "k"  # "some", "several": a determiner that "of" may follow
NUMBER = "c"
MODIFIER = "m"
EITHER = "e"  # an adjective that can be a noun: "elderly", "top"
PAST = "p"  # a participle: a modifier behind a determiner, adjective, number or preposition, else a verb
GERUND = "g"  # the same, but not behind a number or preposition: "one wearing a hat", "by holding a mic"
ATTRIBUTE = "b"  # a gerund that can also follow a number: "several smiling women"
MISREAD = "f"  # tagged as verb, but a noun where only a noun can stand: "a walk", "a small moped"
ADVERB = "r"
DEGREE = "y"  # an adverb that can open a phrase: "brightly colored kites"
NOUN = "n"
JOINING = "v"  # "covered" in "snow covered hills"
POSSESSIVE = "s"
HYPHEN = "h"
PREPOSITION = "i"
STOP = "."
AND = "a"
COMMA = ","
OF = "o"
GROUP = "q"  # "group" in "a group of people"
OTHER = "x"
DETERMINERS = DETERMINER + QUANTITY + NUMBER
VERBS = (PAST, GERUND, MISREAD)

_BY_TAG = {
    DETERMINER: ("DT", "PDT", "PRP$"),
    NUMBER: ("CD",),
    MODIFIER: ("JJ", "JJR", "JJS", "AFX"),
    PAST: ("VBN",),
    GERUND: ("VBG", "VBD"),
    PREPOSITION: ("IN",),
    STOP: (".",),
    MISREAD: ("VB", "VBP", "VBZ"),
    ADVERB: ("RB", "RBR", "RBS"),
    NOUN: ("NN", "NNS", "NNP", "NNPS"),
    POSSESSIVE: ("POS",),
    HYPHEN: ("HYPH",),
    COMMA: (",",),
}
_PRONOUNS = ("i", "we", "you", "he", "she", "it", "they", "there", "here")
_AUXILIARIES = {"am", "is", "are", "was", "were", "be", "been", "have", "has", "had", "do", "does", "did", "can", "may"}
_CORRECTED = frozenset((OF, MODIFIER, *VERBS, ADVERB))
_SPACE = get_string_id("_SP")
PLURAL_TAGS = frozenset(map(get_string_id, ("NNS", "NNPS")))
_COLUMNS = ["IDX", "LENGTH", "TAG"]


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """One caption's tokens, column by column, without those that are white space.

    ``begins`` and ``ends`` are offsets in the caption, ``words`` lower case, ``tags`` spaCy's hashes of the Penn tags,
    ``classes`` one letter for each token.
    """

    begins: list[int]
    ends: list[int]
    words: list[str]
    tags: list[int]
    classes: str


class _ClassByTag(dict[int, str]):
    """Letters by tag; any other tag is OTHER."""

    def __missing__(self, tag: int) -> str:
        return OTHER


class TokenClasses:
    """Reads a tagged document's attributes in one go and gives every token its class."""

    def __init__(self, words: Words, lexicon: Lexicon) -> None:
        self._by_tag = _ClassByTag((get_string_id(tag), letter) for letter, tags in _BY_TAG.items() for tag in tags)
        self._by_word = dict.fromkeys(words.quantity_words, QUANTITY)
        self._by_word.update(dict.fromkeys(_PRONOUNS, OTHER))
        self._by_word.update({"of": OF, "and": AND, "or": AND, "&": AND})
        self._groups = words.quantity_nouns.every
        self._sentence_adverbs = words.sentence_adverbs
        self._joining = words.joining_participles
        self._nouns = lexicon.nouns - words.never_nouns - _AUXILIARIES
        self._only_nouns = (self._nouns - lexicon.adjectives) | words.people_words
        self._adjectives = lexicon.adjectives | words.never_nouns
        self._verbs = lexicon.verbs
        self._subjects = words.subjects
        self._compounds = words.compounds

    def __call__(self, doc: Doc, text: str) -> Tokens:
        """The columns of one document, which was made from ``text``."""
        columns = doc.to_array(_COLUMNS)
        begins, lengths, tags = columns.T.tolist()
        if _SPACE in tags:
            begins, lengths, tags = columns[columns[:, 2] != _SPACE].T.tolist()
        ends = list(map(add, begins, lengths))
        lower = text.lower()
        if len(lower) != len(text):  # a few letters have a lower case of two characters: word by word, then
            words = [text[begin:end].lower() for begin, end in zip(begins, ends, strict=True)]
        else:
            words = [lower[begin:end] for begin, end in zip(begins, ends, strict=True)]
        by_tag, by_word = self._by_tag, self._by_word
        classes = [by_word[word] if word in by_word else by_tag[tag] for word, tag in zip(words, tags, strict=True)]
        if not text.isascii():
            classes = [OTHER if _is_symbol(word) else letter for word, letter in zip(words, classes, strict=True)]
        for index, letter in enumerate(classes):
            if letter in _CORRECTED:
                self._correct(index, letter, classes, words)
        if HYPHEN in classes:
            _join_hyphenated(classes, words, begins, ends)
        return Tokens(begins, ends, words, tags, "".join(classes))

    def _correct(self, index: int, letter: str, classes: list[str], words: list[str]) -> None:
        """Puts right what the tag alone says of one token."""
        word = words[index]
        if letter == OF:
            if index and classes[index - 1] == NOUN and words[index - 1] in self._groups:
                classes[index - 1] = GROUP
        elif letter == MODIFIER:
            if word in self._nouns:
                classes[index] = NOUN if word in self._only_nouns else EITHER
            elif word not in self._adjectives and not word.endswith("ed"):
                classes[index] = EITHER
        elif letter in VERBS:
            classes[index] = self._verb_or_noun(index, classes, words)
        elif word.endswith("ly") and word not in self._sentence_adverbs:
            classes[index] = DEGREE

    def _verb_or_noun(self, index: int, classes: list[str], words: list[str]) -> str:
        """What a word tagged as verb is, by what it can be and what stands before it."""
        word, letter = words[index], classes[index]
        before = classes[index - 1] if index else ""
        if word in self._compounds and index + 1 < len(words) and words[index + 1] in self._compounds[word]:
            return NOUN
        if letter != MISREAD:
            if before == NOUN and word in self._joining:
                return JOINING
            if word not in self._only_nouns:
                return ATTRIBUTE if letter == GERUND and word in self._adjectives else letter
            return NOUN if letter == PAST and word not in self._verbs and not word.endswith("ed") else MISREAD
        if word not in self._nouns:
            return OTHER
        if word not in self._verbs or self._is_between_nouns(index, classes, words):
            return NOUN
        # "oven and microwave": a verb has no place in a list of nouns.
        return NOUN if before in (AND, COMMA) and index > 1 and classes[index - 2] == NOUN else MISREAD

    def _is_between_nouns(self, index: int, classes: list[str], words: list[str]) -> bool:
        """ "a bathroom shower stall": a verb's base form does not agree with a noun in the singular."""
        if (
            words[index].endswith("s")
            or classes[index - 1 : index] != [NOUN]
            or classes[index + 1 : index + 2] != [NOUN]
        ):
            return False
        before = words[index - 1]
        return not before.endswith("s") and before not in self._subjects


def _is_symbol(word: str) -> bool:
    """Whether a token is an emoji or the like, which the tagger often takes for a noun."""
    return not word.isascii() and word != "’" and not any(map(str.isalnum, word))


def _join_hyphenated(classes: list[str], words: list[str], begins: list[int], ends: list[int]) -> None:
    """ "walk-in" is one modifier and "t-shirt" one noun: all parts get the class of the whole."""
    for index, letter in enumerate(classes):
        if letter != HYPHEN:
            continue
        if not 0 < index < len(classes) - 1 or ends[index] < begins[index + 1] or ends[index - 1] < begins[index]:
            classes[index] = OTHER
            continue
        first = index - 1
        while first > 1 and words[first - 1] == "-" and begins[first] == ends[first - 1] == ends[first - 2] + 1:
            first -= 2
        whole = NOUN if classes[index + 1] in (NOUN, GROUP) else MODIFIER
        classes[first : index + 2] = [whole] * (index + 2 - first)
