"""The queries of one visit to a photo of a dataset of classes: its positives, its absences, and unknown classes.

Such an annotation is federated: on each photo it speaks of some classes of the vocabulary only. Two classes can have
one text, so what is known is said of texts: one is known on a photo where the annotation speaks exhaustively of every
class that has it. Only known texts may be held against the photo's objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xdetr_data.loading.config import DataConfig
from xdetr_data.record import Query
from xdetr_data.vocabulary import NamedClass, class_of

Ids = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """A vocabulary by text: ``ids`` of the classes that have it; texts that differ in case alone are one."""

    ids: Mapping[str, Ids]

    @classmethod
    def of(cls, vocabulary: Sequence[NamedClass]) -> "Classes":
        """Of the classes of a manifest, in their order."""
        ids: dict[str, set[int]] = {}
        spelled: dict[str, str] = {}
        for one in vocabulary:
            ids.setdefault(spelled.setdefault(one.text.lower(), one.text), set()).add(one.id)
        return cls(ids={text: frozenset(found) for text, found in ids.items()})

    def all_within(self, known: Ids) -> frozenset[str]:
        """The texts whose every class is among ``known``."""
        return frozenset(text for text, ids in self.ids.items() if ids <= known)

    def none_within(self, spoken_of: Ids) -> list[str]:
        """The texts of which no class is among ``spoken_of``, in the vocabulary's order."""
        return [text for text, ids in self.ids.items() if ids.isdisjoint(spoken_of)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a visit says of a photo. ``unknown``: texts of classes of which nothing is known there. ``known``: the texts
    that may be held against its objects; None: any text may."""

    queries: list[Query]
    unknown: tuple[str, ...] = ()
    known: frozenset[str] | None = None


def sample_queries(queries: Sequence[Query], most: int, rng: np.random.Generator) -> list[Query]:
    """At most so many of the queries, in their order."""
    if len(queries) <= most:
        return list(queries)
    chosen = rng.choice(len(queries), most, replace=False)
    return [queries[index] for index in sorted(chosen.tolist())]


def choose_classes(queries: Sequence[Query], classes: Classes, config: DataConfig, rng: np.random.Generator) -> Chosen:
    """The queries of one visit to a whole photo: up to ``queries_per_photo`` positives, ``absences_per_photo`` and
    ``unknown_per_photo``.

    An absence is one of every class of its text, and of one text there is one: where a class is present or unknown, the
    absence of another one that is called alike is no negative.
    """
    absent = [query for query in queries if is_absence(query)]
    firsts = {min(classes.ids[text]) for text in classes.all_within(_ids(absent))}
    positives = sample_queries([query for query in queries if not is_absence(query)], config.queries_per_photo, rng)
    absences = sample_queries(
        [one for one in absent if not firsts.isdisjoint(_ids([one]))], config.absences_per_photo, rng
    )
    unspoken = classes.none_within(_ids(queries))
    drawn = rng.permutation(len(unspoken))[: config.unknown_per_photo]
    return Chosen(
        queries=positives + absences,
        unknown=tuple(unspoken[index] for index in sorted(drawn.tolist())),
        known=known_texts(queries, positives, classes),
    )


def known_texts(queries: Sequence[Query], shown: Sequence[Query], classes: Classes) -> frozenset[str]:
    """The texts whose every class is on the photo with all its objects, as one of the queries ``shown``, or absent.

    A present class that is not shown counts as unknown: a step does not see which objects are its own.
    """
    absent = [query for query in queries if is_absence(query)]
    present = [query for query in shown if query.is_exhaustive and _names_regions(query)]
    return classes.all_within(_ids([*absent, *present]))


def is_absence(query: Query) -> bool:
    """Whether a query says that a class is not on the photo."""
    return query.is_exhaustive and bool(query.phrases) and not _names_regions(query) and bool(_ids([query]))


def _names_regions(query: Query) -> bool:
    return any(phrase.regions for phrase in query.phrases)


def _ids(queries: Sequence[Query]) -> Ids:
    found = (class_of(phrase) for query in queries for phrase in query.phrases)
    return frozenset(one for one in found if one is not None)
