import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxes import iou_matrix_xyxy, xywh_to_xyxy
from xdetr_data.sources.localized_narratives import Narrative, TracePoint, Utterance, read_narratives
from xdetr_data.stages.grounding.trace_agreement import TraceClock, align_words, trace_agreement

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[5] / "shared" / "fixtures"))
DERIVED = FIXTURES / "derived" / "open_images"
needs_fixtures = pytest.mark.skipif(not DERIVED.exists(), reason="the fixtures are not here (XDETR_FIXTURES)")

SIZE_HW = (200, 400)
CAPTION = "In this image I can see a dog. On the left there is a cat."
DOG, CAT = (26, 29), (54, 57)
DOG_BOX, CAT_BOX = (200.0, 100.0, 300.0, 160.0), (20.0, 20.0, 100.0, 80.0)


def say(text: str, *, words_a_piece: int = 1, second: float = 0.5) -> list[Utterance]:
    """Each word takes half a second."""
    words = text.split()
    starts = range(0, len(words), words_a_piece)
    return [
        Utterance(" ".join(words[i : i + words_a_piece]), i * second, min(i + words_a_piece, len(words)) * second)
        for i in starts
    ]


def scribble(box_xyxy, begin_s: float, end_s: float, count: int = 64) -> list[TracePoint]:
    """Goes over a box and back, four times a second."""
    x0, y0, x1, y1 = box_xyxy
    t = np.linspace(begin_s, end_s, count)
    x, y = x0 + (x1 - x0) * np.abs((4 * t) % 2 - 1), np.where(np.arange(count) % 2, y0, y1)
    return [
        TracePoint(a / SIZE_HW[1], b / SIZE_HW[0], c)
        for a, b, c in zip(x.tolist(), y.tolist(), t.tolist(), strict=True)
    ]


def narrative(caption: str = CAPTION, said: list[Utterance] | None = None, traces=None) -> Narrative:
    """The mouse is on the dog from second 2 to 4 (it is said at 3.5) and on the cat from 6 to 8 (said at 7)."""
    return Narrative(
        dataset_id="open_images_train",
        image_id="1",
        caption=caption,
        timed_caption=say(CAPTION) if said is None else said,
        traces=[scribble(DOG_BOX, 2, 4) + scribble(CAT_BOX, 6, 8)] if traces is None else traces,
    )


def agreement(one: Narrative, span, *boxes, **pads) -> list[float | None]:
    return trace_agreement(TraceClock(one), [span], boxes, SIZE_HW, **pads)


def test_the_box_that_was_pointed_at_wins():
    assert (CAPTION[slice(*DOG)], CAPTION[slice(*CAT)]) == ("dog", "cat")
    dog, cat = agreement(narrative(), DOG, DOG_BOX, CAT_BOX)
    assert dog > 0.8
    assert cat == 0
    dog, cat = agreement(narrative(), CAT, DOG_BOX, CAT_BOX)
    assert dog == 0
    assert cat > 0.8


def test_neither_the_whole_photo_nor_a_part_of_the_object_is_as_good_as_the_object():
    whole, part, right = agreement(narrative(), DOG, (0, 0, 400, 200), (240, 120, 260, 140), DOG_BOX)
    assert right > 0.8
    assert whole < 0.3
    assert part < 0.7


@pytest.mark.parametrize(
    "changes",
    [
        {"said": []},
        {"traces": []},
        {"traces": [[]]},
        {"said": say("completely different words")},
        {"traces": [scribble(DOG_BOX, 100, 101)]},
        {"caption": "…"},
    ],
)
def test_without_evidence_there_is_no_score_rather_than_a_bad_one(changes):
    assert agreement(narrative(**changes), (0, 1) if "caption" in changes else DOG, DOG_BOX, CAT_BOX) == [None, None]


def test_fields_that_are_null_are_no_evidence():
    empty = Narrative(dataset_id="x", image_id="1", caption=CAPTION, timed_caption=None, traces=None)
    assert agreement(empty, DOG, DOG_BOX) == [None]


def test_a_span_without_a_word_is_no_evidence():
    assert agreement(narrative(), (29, 30), DOG_BOX) == [None]


def test_boxes_without_area_have_no_score_and_take_none_from_the_others():
    bad = [(10.0, 10.0, 10.0, 20.0), (np.nan, 0.0, 5.0, 5.0), (30.0, 30.0, 20.0, 40.0)]
    found = agreement(narrative(), DOG, bad[0], DOG_BOX, bad[1], bad[2])
    assert found[1] == agreement(narrative(), DOG, DOG_BOX)[0]
    assert [found[i] for i in (0, 2, 3)] == [None, None, None]
    assert trace_agreement(TraceClock(narrative()), [DOG], np.zeros((0, 4)), SIZE_HW) == []


def test_the_mouse_may_lead_or_lag_the_voice():
    late = narrative(traces=[scribble(DOG_BOX, 4.1, 4.6)])  # "dog" ends at 4.0
    early = narrative(traces=[scribble(DOG_BOX, 3.0, 3.4)])  # and begins at 3.5
    assert agreement(late, DOG, DOG_BOX)[0] > 0.5
    assert agreement(early, DOG, DOG_BOX)[0] > 0.5
    assert agreement(late, DOG, DOG_BOX, lag_s=0) == [None]
    assert agreement(early, DOG, DOG_BOX, lead_s=0) == [None]


def test_what_is_further_from_the_words_counts_less():
    both = narrative(traces=[scribble(DOG_BOX, 3.5, 4.0), scribble(CAT_BOX, 4.0, 4.5)])
    dog, cat = agreement(both, DOG, DOG_BOX, CAT_BOX)
    assert dog > 1.5 * cat


def test_a_resting_mouse_points_at_what_it_rests_on():
    small = (245.0, 125.0, 255.0, 135.0)
    resting = [TracePoint(0.05, 0.9, 0.0), TracePoint(250 / 400, 130 / 200, 1.0), TracePoint(0.05, 0.9, 9.0)]
    on, off = agreement(narrative(traces=[resting]), DOG, small, CAT_BOX)
    assert on > 0.8
    assert off == 0


def test_points_a_little_off_the_photo_are_on_its_border_and_far_ones_are_nowhere():
    edge = (0.0, 0.0, 80.0, 200.0)
    near = [TracePoint(-0.05 + 0.02 * i, 0.05 + 0.045 * i, 3.5 + 0.025 * i) for i in range(20)]
    assert agreement(narrative(traces=[near]), DOG, edge)[0] > 0.5
    assert agreement(narrative(traces=[[TracePoint(-0.5, 2.0, 3.6)]]), DOG, edge) == [None]


def test_points_out_of_order_are_put_in_order():
    trace = scribble(DOG_BOX, 2, 4)
    assert agreement(narrative(traces=[trace[::-1]]), DOG, DOG_BOX) == agreement(
        narrative(traces=[trace]), DOG, DOG_BOX
    )


@given(
    st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 2, st.floats(0, 10)), max_size=12),
    st.lists(st.tuples(*[st.floats(-50, 450)] * 4), max_size=5),
    st.floats(0, 1),
)
def test_scores_are_shares_or_none(points, boxes, pad):
    one = narrative(traces=[[TracePoint(*point) for point in points]])
    for score in trace_agreement(TraceClock(one), [DOG, CAT], boxes, SIZE_HW, lead_s=pad, lag_s=pad):
        assert score is None or 0 <= score <= 1


@given(st.floats(0.1, 8), st.booleans())
def test_only_shapes_count_not_the_size_of_the_photo_or_its_mirror_image(scale, mirror):
    one = narrative()
    before = agreement(one, DOG, DOG_BOX, CAT_BOX, (101.3, 52.9, 247.1, 151.7))
    boxes = np.array([DOG_BOX, CAT_BOX, (101.3, 52.9, 247.1, 151.7)])
    if mirror:
        boxes = np.column_stack([400 - boxes[:, 2], boxes[:, 1], 400 - boxes[:, 0], boxes[:, 3]])
        one = narrative(traces=[[TracePoint(1 - p.x, p.y, p.t) for p in trace] for trace in one.traces or ()])
    after = trace_agreement(TraceClock(one), [DOG], boxes, SIZE_HW)
    assert after == pytest.approx(before, abs=1e-9)
    height, width = round(200 * scale) or 1, round(400 * scale) or 1
    scaled = boxes * np.array([width / 400, height / 200] * 2)
    assert trace_agreement(TraceClock(one), [DOG], scaled, (height, width)) == pytest.approx(before, abs=1e-9)


def said_at(caption: str, said: list[Utterance], word: str) -> tuple[float, float]:
    words = align_words(caption, said)
    assert words is not None
    texts = [caption[begin:end] for begin, end in words.span_char.tolist()]
    return tuple(np.round(words.time_s[texts.index(word)], 3).tolist())


def test_words_take_the_time_of_their_utterance():
    assert said_at(CAPTION, say(CAPTION), "dog") == (3.5, 4.0)


def test_words_of_one_utterance_share_its_time_by_their_lengths():
    assert said_at("red apples", [Utterance("red apples", 1.0, 10.0)], "red") == (1.0, 4.0)


def test_punctuation_and_case_are_no_difference():
    assert said_at("A dog, and THE cat.", say("a dog and the cat"), "cat") == (2.0, 2.5)


def test_a_word_that_was_corrected_takes_the_time_of_what_was_said():
    assert said_at("there is a t shirt here", say("there is a tshirt here"), "shirt")[1] == 2.0
    assert said_at("there is a dog here", say("there is a dock here"), "dog") == (1.5, 2.0)


def test_a_word_that_was_not_said_lies_between_its_neighbours():
    said = [Utterance("a", 0.0, 0.5), Utterance("dog", 2.0, 2.5)]
    assert said_at("a brown dog", said, "brown") == (0.5, 2.0)
    assert said_at("the a dog runs", said, "the") == (0.0, 0.0)
    assert said_at("the a dog runs", said, "runs") == (2.5, 2.5)


def test_words_that_were_said_and_not_written_shift_nothing():
    assert said_at("a dog", say("a a um well dog"), "dog") == (2.0, 2.5)


def test_utterances_of_no_length_or_the_wrong_way_round_are_moments():
    said = [Utterance("a", 0.5, 0.5), Utterance("dog", 2.0, 1.0)]
    assert said_at("a dog", said, "a") == (0.5, 0.5)
    assert said_at("a dog", said, "dog") == (2.0, 2.0)


@given(
    st.lists(st.sampled_from(["the", "dog", "cat", "a", "red", "is"]), min_size=1, max_size=25),
    st.sets(st.integers(0, 24)),
    st.integers(1, 4),
)
def test_words_are_said_in_their_order_whatever_is_missing(words, missing, words_a_piece):
    said = say(" ".join(words), words_a_piece=words_a_piece)
    caption = " ".join(word for i, word in enumerate(words) if i not in missing)
    times = align_words(caption, said)
    if caption:
        assert times is not None
        assert len(times.time_s) == len(caption.split())
        assert (times.time_s[:, 0] <= times.time_s[:, 1] + 1e-9).all()
        assert (np.diff(times.time_s[:, 0]) >= -1e-9).all()
    else:
        assert times is None


@needs_fixtures
def test_on_the_derived_truth_the_true_box_outranks_the_others_of_its_photo():
    (path,) = DERIVED.glob("*localized_narratives*.jsonl")
    clocks = {str(one.image_id): TraceClock(one) for _, one in read_narratives(str(path)) if isinstance(one, Narrative)}
    truth = [json.loads(text) for text in (DERIVED / "locnar_truth.jsonl").read_text().splitlines()]
    aucs = []
    for photo in truth:
        size_hw = (photo["height"], photo["width"])
        every = [xywh_to_xyxy(box) for mention in photo["mentions"] for box in mention["boxes_xywh"]]
        for mention in photo["mentions"]:
            right = [xywh_to_xyxy(box) for box in mention["boxes_xywh"]]
            wrong = [box for box in every if iou_matrix_xyxy([box], right).max() < 0.5]
            scores = trace_agreement(
                clocks[photo["image_id"]], [(mention["start"], mention["end"])], [*right, *wrong], size_hw
            )
            good, bad = np.array(scores[: len(right)]), np.array(scores[len(right) :])
            if wrong:
                aucs.append(((good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2).item())
    assert len(aucs) > 20
    assert np.mean(aucs) > 0.9


@pytest.mark.parametrize(("begin_s", "end_s"), [(-1.7e308, 1.7e308), (1e300, 1e301), (0.0, 1.7e308)])
def test_times_that_nothing_can_have_are_no_error(begin_s: float, end_s: float):
    assert align_words("dog", [Utterance("dog cat", begin_s, end_s)]) is not None
    trace = [TracePoint(0.5, 0.5, time_s) for time_s in (begin_s, 0.0, end_s)]
    one = narrative("a dog", [Utterance("a dog", begin_s, end_s)], [trace])
    (found,) = agreement(one, (2, 5), (0, 0, 50, 50))
    assert found is None or 0 <= found <= 1


def test_thousands_of_words_said_again_and_again_are_aligned_in_moments():
    said = say("red the dog " * 1500)
    times = align_words("the red dog " * 1500, said)
    assert times is None or len(times.time_s) == 4500


def test_a_long_caption_is_aligned_by_its_rarer_words():
    words = [f"word{number}" for number in range(500)]
    times = align_words(" ".join([*words[:250], "uh", *words[250:]]), say(" ".join(words)))
    assert times is not None
    assert times.time_s[300, 0] == pytest.approx(0.5 * 299)
