"""Class names as people say them, and the vocabulary of a dataset, read from its manifest alone."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import Phrase, Provenance
from xdetr_data.vocabulary import NamedClass, class_detail, class_of, find_class, spoken_name, vocabulary_of

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures")) / "lvis"
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the fixtures are not here (XDETR_FIXTURES)")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flip-flop_(sandal)", "flip-flop"),  # the paper's example
        ("aerosol_can", "aerosol can"),
        ("bow_(decorative_ribbons)", "bow"),
        ("monitor_(computer_equipment) computer_monitor", "monitor computer monitor"),
        ("(of_a_kind)_Band_Aid", "Band Aid"),
        ("crab_(animal)_(whole)", "crab"),
        ("(nothing)", ""),
    ],
)
def test_a_name_is_said_without_parentheses_and_underscores(name: str, text: str) -> None:
    assert spoken_name(name) == text


@given(st.lists(st.from_regex(r"[a-z'-]{1,5}", fullmatch=True), min_size=1, max_size=5), st.data())
def test_the_words_outside_parentheses_are_said_in_their_order(words: list[str], data: st.DataObject) -> None:
    between = st.sampled_from(["_", " ", "__", "_(x_y)_", "(x)", " (x) "])
    name = "".join(word + data.draw(between) for word in words)
    assert spoken_name(name) == " ".join(words)


@needs_fixtures
def test_all_1203_names_of_v1_come_out_clean_and_their_classes_stay_distinct() -> None:
    found = json.loads((FIXTURES / "lvis_v1_categories.json").read_text())
    classes = [NamedClass(one["id"], one["name"], spoken_name(one["name"]), one["frequency"]) for one in found]
    assert len({one.id for one in classes}) == len(classes) == 1203
    for one in classes:
        assert one.text, one
        assert not set("()_") & set(one.text), one
        assert one.text == " ".join(one.text.split()), one
        assert find_class(classes, one.id) == one
    plain = {one.name: one.text for one in classes if "(" not in one.name}
    assert all(text == name.replace("_", " ") for name, text in plain.items())
    texts = {one.name: one.text for one in classes}
    assert texts["flip-flop_(sandal)"] == "flip-flop"
    alike = {text for text, count in Counter(texts.values()).items() if count > 1}
    assert alike == {"bow", "fish", "octopus", "pan", "salmon"}, "classes that only their ids tell apart"


VOCABULARY = [NamedClass(2, "bow_(weapon)", "bow", "r"), NamedClass(7, "bow_(tie)", "bow"), NamedClass(9, "cat", "cat")]


@pytest.mark.parametrize(
    ("number", "name"), [(2, "bow_(weapon)"), (7, "bow_(tie)"), (9, "cat"), (1, ""), (8, ""), (10, "")]
)
def test_a_class_is_found_by_its_id(number: int, name: str) -> None:
    found = find_class(VOCABULARY, number)
    assert (found.name if found else "") == name


def phrase(detail: str) -> Phrase:
    return Phrase(spans=((0, 3),), provenance=Provenance(source="lvis", detail=detail))


def test_a_phrase_says_its_class() -> None:
    assert class_of(phrase(class_detail(1203))) == 1203
    assert [class_of(phrase(detail)) for detail in ("", "also 12", "class", "class 1 2")] == [None] * 4


def manifest(config: dict[str, Any]) -> Manifest:
    return Manifest(
        schema=1, recipe="build lvis", tool_version="0", prefix="lvis-train", split="train", seed=0, config=config,
        config_hash="", inputs=[], exclusions=[], accounting={}, rows=0, shards=[], rejects=[],
    )  # fmt: skip


def test_the_vocabulary_is_read_from_the_manifest_also_of_a_reviewed_dataset() -> None:
    config = {"vocabulary": [{"id": 2, "name": "bow_(weapon)", "text": "bow", "frequency": "r"}]}
    assert vocabulary_of(manifest(config)) == (VOCABULARY[0],)
    reviewed_twice = {"parent": {"config": {"parent": {"config": config}}}}
    assert vocabulary_of(manifest(reviewed_twice)) == (VOCABULARY[0],)


@pytest.mark.parametrize("config", [{}, {"vocabulary": []}, {"parent": {"config": {}}}, {"parent": {}}])
def test_a_dataset_without_classes_has_none(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"dataset lvis-train .*has no vocabulary; give one of classes"):
        vocabulary_of(manifest(config))


def test_a_vocabulary_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=r"lvis-train: its manifest's vocabulary is none \(.*`id`.*\); build it again"):
        vocabulary_of(manifest({"vocabulary": [{"name": "cat", "text": "cat"}]}))
