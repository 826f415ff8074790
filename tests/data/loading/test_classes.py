"""A visit to a photo of a dataset of classes: what is shown of it, and what may be held against its objects."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from tests.data.loading.painted import paint, record
from xdetr_data.loading.classes import Chosen, Classes, choose_classes, known_texts
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.sample import LoadedPhoto, load_sample
from xdetr_data.record import Phrase, Provenance, Query
from xdetr_data.schema import to_json
from xdetr_data.vocabulary import NamedClass, class_detail

NAMES = {1: "aerosol can", 2: "Band Aid", 3: "bow", 5: "bow", 7: "cat", 8: "dog", 9: "pan", 10: "pan", 11: "tree"}
CLASSES = Classes.of([NamedClass(number, text, text) for number, text in NAMES.items()])
CONFIG = DataConfig(queries_per_photo=2, absences_per_photo=2, unknown_per_photo=2)
ALL = replace(CONFIG, queries_per_photo=99, absences_per_photo=99, unknown_per_photo=99)


def said(number: int, *regions: int, is_exhaustive: bool = True) -> Query:
    text = NAMES[number]
    phrase = Phrase(
        spans=((0, len(text)),),
        regions=regions,
        provenance=Provenance(source="painted", annotation_id=str(number), detail=class_detail(number)),
    )
    return Query(text=text, group="photo", phrases=(phrase,), is_exhaustive=is_exhaustive)


def choose(queries: Sequence[Query], config: DataConfig = ALL, seed: int = 0) -> Chosen:
    return choose_classes(queries, CLASSES, config, np.random.default_rng(seed))


def test_positives_absences_and_unknown_classes_are_drawn_each_up_to_its_number() -> None:
    queries = [said(1, 0), said(2), said(7, 0), said(8), said(11, 0)]
    shown = [choose(queries, replace(CONFIG, absences_per_photo=1, unknown_per_photo=1), seed) for seed in range(40)]
    assert {len(one.queries) for one in shown} == {3}
    assert {sum(bool(q.phrases[0].regions) for q in one.queries) for one in shown} == {2}
    assert {q.text for one in shown for q in one.queries} == {"aerosol can", "Band Aid", "cat", "dog", "tree"}
    assert {one.unknown for one in shown} == {("bow",), ("pan",)}, "of these nothing is said"
    assert choose(queries, seed=3) == choose(queries, seed=3)


def test_without_the_keys_there_are_positives_alone() -> None:
    only = choose([said(1, 0), said(2)], replace(ALL, absences_per_photo=0, unknown_per_photo=0))
    assert [one.text for one in only.queries] == ["aerosol can"]
    assert only.unknown == ()
    assert only.known == {"aerosol can", "Band Aid"}


def test_a_class_is_known_where_it_is_absent_or_all_of_it_is_shown() -> None:
    queries = [said(1, 0), said(7, 1, is_exhaustive=False), said(8)]
    assert choose(queries).known == {"aerosol can", "dog"}
    assert known_texts(queries, queries[1:], CLASSES) == {"dog"}, "of a class that is not shown no object is its own"
    assert choose([]).known == frozenset()


def test_of_classes_with_one_text_an_absence_counts_where_all_are_absent() -> None:
    one_is_there = choose([said(3, 0), said(5)])
    assert [q.phrases[0].provenance.annotation_id for q in one_is_there.queries] == ["3"]
    assert one_is_there.known == {"bow"}, "what is no bow of the one kind is none of the other"
    one_is_unknown = choose([said(5)])
    assert one_is_unknown.queries == []
    assert one_is_unknown.known == frozenset()
    assert "bow" not in one_is_unknown.unknown
    none_is_there = choose([said(3), said(5)])
    assert [q.phrases[0].provenance.annotation_id for q in none_is_there.queries] == ["3"], "one text once"
    assert none_is_there.known == {"bow"}
    assert choose([said(3, 0), said(5, 1, is_exhaustive=False)]).known == frozenset()


def test_a_sample_holds_all_three_and_says_what_is_known() -> None:
    config = replace(ALL, shortest_px=(48,), longest_px=64, crop=0.0, flip=0.0, jitter=0.0)
    labels = record("a", queries=[said(7, 0), said(8), said(11, is_exhaustive=False)])
    photo = paint(labels.image.size_hw, labels.regions[0].box_xyxy)
    for paragraph, unknown in ((None, ("aerosol can", "Band Aid", "bow", "pan")), (0, ())):
        loaded = load_sample("a", to_json(labels), photo, 0, config, paragraph, CLASSES)
        assert isinstance(loaded, LoadedPhoto)
        texts = {one.text: [phrase.regions for phrase in one.phrases] for one in loaded.queries}
        assert texts == {"cat": [(0,)], "dog": [], "tree": [], **{text: [] for text in unknown}}
        assert loaded.known_texts == {"cat", "dog"}
    plain = load_sample("a", to_json(labels), photo, 0, config)
    assert isinstance(plain, LoadedPhoto)
    assert plain.known_texts is None
