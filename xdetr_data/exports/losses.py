"""What of a record a format may not hold. Each value is counted in a unit of its own (``MEANING``)."""

from enum import StrEnum


class Loss(StrEnum):
    """A part of the record that is lost, by the name that ``--may-lose`` and the accounts use."""

    KEY = "key"
    UNSAFE_NAME = "unsafe-name"
    EMPTY_PHOTO = "empty-photo"
    GROUP = "group"
    PROVENANCE = "provenance"
    SCORE = "score"
    EXHAUSTIVE = "exhaustive"
    ABSENCE = "absence"
    UNBOXED = "unboxed"
    TEXTLESS = "textless"
    CROWD = "crowd"
    MASK = "mask"
    BOX_BITS = "box-bits"
    THIN_BOX = "thin-box"
    EQUAL_REGIONS = "equal-regions"
    EQUAL_PHRASES = "equal-phrases"
    EQUAL_QUERIES = "equal-queries"
    NO_WORDS = "no-words"
    NO_PHRASES = "no-phrases"
    SPANS = "spans"
    PARTS = "parts"
    SENTENCE = "sentence"

    __hash__ = str.__hash__  # an enumeration's own is slow, and losses are counted for every box


MEANING = {
    Loss.KEY: "keys that do not follow from collection and file name: imported, the photo has another",
    Loss.UNSAFE_NAME: "photos whose file name no folder can hold: left out",
    Loss.EMPTY_PHOTO: "photos of which nothing is left to write",
    Loss.GROUP: "queries that say which paragraph they came from",
    Loss.PROVENANCE: "regions and phrases that say who made them",
    Loss.SCORE: "phrases with a model's score",
    Loss.EXHAUSTIVE: "queries that promise that all their objects are boxed",
    Loss.ABSENCE: "phrases that people verified to have no object on the photo",
    Loss.UNBOXED: "other phrases without a box, also those whose boxes are all left out",
    Loss.TEXTLESS: "regions that no phrase names",
    Loss.CROWD: "regions of many objects (iscrowd)",
    Loss.MASK: "masks of regions",
    Loss.BOX_BITS: "boxes that are not exactly what they were",
    Loss.THIN_BOX: "boxes narrower than a thousandth of a pixel, which imports refuse",
    Loss.EQUAL_REGIONS: "regions with the same box as another one: they become one",
    Loss.EQUAL_PHRASES: "phrases of the same words of the same query: they become one",
    Loss.EQUAL_QUERIES: "phrases of the same words as another query of the photo: they become one",
    Loss.NO_WORDS: "queries and phrases of white space alone",
    Loss.NO_PHRASES: "queries without any phrase",
    Loss.SPANS: "phrases in parts with white space alone between: it becomes theirs",
    Loss.PARTS: "phrases in parts: the first stands for them",
    Loss.SENTENCE: "phrases that become a class by their words, without the sentence around",
}
