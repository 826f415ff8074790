"""``--where`` means what it says, and says what it does not mean."""

import pytest

from pipelines.qa.where import parse_where
from tests.pipelines.qa.shown import record
from xdetr_data.errors import ConfigError

RECORDS = [record(number) for number in range(10)]


def taken(text: str) -> list[int]:
    where = parse_where(text)
    return [number for number, one in enumerate(RECORDS) if where(one)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("source=vg", [1, 3, 5, 7, 9]),
        ("source != vg", [0, 2, 4, 6, 8]),
        ("score<0.3", [0, 2]),
        ("score <= 0.41 and score >= 0.2", [2, 4]),
        ("SOURCE=coco AND text~'RED'", [0, 2, 4, 6, 8]),
        ('text="a lamp" and boxes=0', list(range(10))),
        ("text='a lamp' and boxes>0", []),
        ("text='red ball' and boxes>1", [4, 9]),
        ("agreement<0.1", [0, 8]),
        ("query~lies", list(range(10))),
        ("key=shown_0003", [3]),
        ("key='shown%2F0000'", [0]),
        ("file~7", [7]),
        ("width=97 and height<64 and regions=4 and queries=2", list(range(10))),
        ("by=people", [1, 3, 5, 7, 9]),
        ("text~'and'", []),
        ("query~' and '", list(range(10))),
    ],
)
def test_a_filter_takes_the_photos_that_fit(text: str, numbers: list[int]) -> None:
    assert taken(text) == numbers


def test_one_phrase_must_fit_all_conditions_of_phrases() -> None:
    assert taken("text='red ball' and boxes=2") == [4, 9]
    assert len(taken("boxes=2")) == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no condition"),
        ("score", "'score' is no condition"),
        ("score<0.3 or score>0.9", "'or score>0.9' must be joined by 'and'"),
        ("score<0.3 and", "'and' must be joined by 'and'"),
        ("score<low", "score is a number, 'low' is none"),
        ("score~1", "which '~' does not search"),
        ("source<vg", "source is text, which '<' does not compare"),
        ("colour=red", "there is no field 'colour'"),
        ("__import__('os').system('true')", "is no condition"),
        ("text~'red", "is no condition"),
    ],
)
def test_what_is_no_filter_is_told_in_words(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_where(text)
    assert problem in str(error.value)
    assert "fields of the photo: key, source" in str(error.value) or "say" in str(error.value) or "number" in problem
