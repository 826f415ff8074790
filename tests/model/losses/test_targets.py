"""Targets: characters become tokens, everything left out is counted, and nonsense is refused by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xdetr_model.errors import TargetError
from xdetr_model.losses.targets import (
    PhotoTarget,
    PhraseTarget,
    QueryTarget,
    TargetCounts,
    collate_targets,
    text_hash,
)
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.text_tower import phrase_tokens, pool_sentences, tokenize
from xdetr_model.network.tokenizer import word_tokenizer

TOKENIZER = word_tokenizer()
BOX = (0.1, 0.2, 0.5, 0.6)


def photo(text: str, *spans: tuple[int, int], boxes: tuple[tuple[float, ...], ...] = (BOX,)) -> PhotoTarget:
    phrases = tuple(PhraseTarget(spans_char=(s,), regions=(0,)) for s in spans)
    return PhotoTarget(boxes_xyxy_norm=boxes, queries=(QueryTarget(text=text, phrases=phrases),))


@given(st.text(alphabet="abcd .,é犬", min_size=1, max_size=40), st.data())
def test_a_phrase_has_exactly_the_tokens_that_share_a_character_with_it(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin + 1, len(text)))
    tokenized = tokenize(TOKENIZER, [text], 64)
    found = phrase_tokens(tokenized, 0, text, [(begin, end)])
    expected = [
        i for i, (b, e) in enumerate(tokenized.offsets_char[0].tolist()) if set(range(b, e)) & set(range(begin, end))
    ]
    assert list(found.tokens) == expected
    assert found.fit == ("whole" if expected else "between_tokens")


def test_a_phrase_beyond_the_limit_is_truncated_and_one_across_it_is_cut() -> None:
    text = "a dog and a cat and a tree"  # [CLS] a dog and a cat [SEP]
    tokenized = tokenize(TOKENIZER, [text, "a"], 7)
    assert phrase_tokens(tokenized, 0, text, [(0, 5)]).fit == "whole"
    assert phrase_tokens(tokenized, 0, text, [(10, 26)]) == ((4, 5), "cut")
    assert phrase_tokens(tokenized, 0, text, [(20, 26)]) == ((), "truncated")
    assert tokenized.covered_chars == (15, 1)


def test_a_text_that_just_fits_is_not_called_truncated() -> None:
    text = "a dog and a cat. "
    tokenized = tokenize(TOKENIZER, [text], 8)
    assert phrase_tokens(tokenized, 0, text, [(10, 17)]).fit == "whole"


def test_disjoint_spans_are_one_phrase() -> None:
    text = "a dog and a cat"
    assert phrase_tokens(tokenize(TOKENIZER, [text], 64), 0, text, [(2, 5), (12, 15)]).tokens == (2, 5)


@pytest.mark.parametrize("span", [(3, 3), (-1, 2), (0, 99), (4, 2)])
def test_a_span_outside_its_text_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(TargetError, match="is not within the 5 characters of 'a dog'"):
        collate_targets([photo("a dog", span)], TOKENIZER, 64)


def test_positives_point_at_the_right_region_and_token() -> None:
    first = photo("a dog", (0, 5))
    second = PhotoTarget(
        boxes_xyxy_norm=(BOX, (0.5, 0.5, 0.9, 0.9)),
        queries=(QueryTarget(text="two cats", phrases=(PhraseTarget(spans_char=((4, 8),), regions=(0, 1)),)),),
    )
    targets = collate_targets([first, second], TOKENIZER, 64)
    width = targets.input_ids.shape[1]
    pairs = sorted(zip(targets.positive_region.tolist(), targets.positive_token.tolist(), strict=True))
    cats = [width + i for i in range(width) if int(targets.is_word[1, i]) and i >= 2]
    assert pairs == [(0, 1), (0, 2), *((r, t) for r in (1, 2) for t in cats)]
    assert targets.query_photo.tolist() == [0, 1]
    assert targets.regions_per_photo == (1, 2)
    assert torch.allclose(targets.boxes_cxcywh_norm[0], torch.tensor([0.3, 0.4, 0.4, 0.4]))


def test_what_is_left_out_is_counted() -> None:
    flat = (0.3, 0.3, 0.3, 0.8)
    text = "a dog and a cat and a tree"
    phrases = (
        PhraseTarget(spans_char=((0, 5),), regions=(0,)),
        PhraseTarget(spans_char=((10, 26),), regions=(0,)),
        PhraseTarget(spans_char=((20, 26),), regions=(0,)),
        PhraseTarget(spans_char=((5, 6),), regions=(0,)),
        PhraseTarget(spans_char=((0, 5),), regions=(1,)),
        PhraseTarget(spans_char=((0, 5),), regions=(0, 1)),
        PhraseTarget(spans_char=((0, 5),), regions=()),
    )
    target = PhotoTarget(boxes_xyxy_norm=(BOX, flat), queries=(QueryTarget(text=text, phrases=phrases),))
    nothing = PhotoTarget(boxes_xyxy_norm=None, queries=(QueryTarget(text="a dog"),))
    counts = collate_targets([target, nothing], TOKENIZER, 7).counts
    assert counts == TargetCounts(
        photos=2,
        photos_without_boxes=1,
        regions=2,
        regions_without_area=1,
        queries=2,
        queries_truncated=1,
        phrases=7,
        phrases_cut=1,
        phrases_truncated=1,
        phrases_between_tokens=1,
        phrases_without_region=2,
    )
    assert (counts + counts).phrases == 14


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((0.1, float("nan"), 0.5, 0.6), "is not finite"),
        ((0.1, 0.2, float("inf"), 0.6), "is not finite"),
        ((10.0, 20.0, 50.0, 60.0), "is not in units of the photo"),
        ((-0.2, 0.2, 0.5, 0.6), "is not in units of the photo"),
    ],
)
def test_a_bad_box_is_refused_by_photo_and_region(box: tuple[float, ...], problem: str) -> None:
    with pytest.raises(TargetError, match=f"photo 1 of the batch, region 1: .* {problem}"):
        collate_targets([photo("a dog"), photo("a dog", boxes=(BOX, box))], TOKENIZER, 64)


def test_a_box_that_ends_a_rounding_error_outside_is_cut() -> None:
    targets = collate_targets([photo("a dog", boxes=((0.5, 0.5, 1.0000001, 1.0),))], TOKENIZER, 64)
    assert torch.equal(targets.boxes_cxcywh_norm, torch.tensor([[0.75, 0.75, 0.5, 0.5]]))


def test_a_phrase_of_a_region_that_does_not_exist_is_refused() -> None:
    bad = QueryTarget(text="a dog", phrases=(PhraseTarget(spans_char=((0, 5),), regions=(1,)),))
    with pytest.raises(TargetError, match="photo 0 of the batch: a phrase of 'a dog' names region 1 of 1"):
        collate_targets([PhotoTarget(boxes_xyxy_norm=(BOX,), queries=(bad,))], TOKENIZER, 64)


def test_an_empty_batch_collates() -> None:
    targets = collate_targets([], TOKENIZER, 64)
    assert targets.input_ids.shape == (0, 0)
    assert targets.boxes_cxcywh_norm.shape == (0, 4)


def test_the_same_words_hash_alike() -> None:
    assert text_hash("A  Dog ") == text_hash("a dog") != text_hash("a cat")
    assert text_hash("a dog") == 9151722581430185315  # the same on every machine and in every run


def test_sentences_are_their_first_token_or_their_mean() -> None:
    states = torch.arange(12.0).reshape(1, 3, 4)
    mask = torch.tensor([[1, 1, 0]])
    assert torch.equal(pool_sentences(states, mask, "first"), states[:, 0])
    assert torch.equal(pool_sentences(states, mask, "mean"), (states[:, 0] + states[:, 1]) / 2)


def test_a_box_that_has_area_only_beyond_the_edge_is_left_out() -> None:
    box = (1.0, 0.2, 1.0005, 0.5)
    targets = collate_targets([PhotoTarget(boxes_xyxy_norm=[box])], word_tokenizer(), 32)
    assert (len(targets.boxes_cxcywh_norm), targets.counts.regions_without_area) == (0, 1)


@pytest.mark.parametrize("count", [3, 5, 8])
def test_a_box_of_another_number_of_values_is_named(count: int) -> None:
    with pytest.raises(TargetError, match=f"region 0: a box has 4 numbers, not {count}"):
        collate_targets([PhotoTarget(boxes_xyxy_norm=[(0.1,) * count])], word_tokenizer(), 32)


def test_whole_numbers_are_weights_too() -> None:
    assert XDetrConfig(giou_weight=3).detection_weights().giou == 3
