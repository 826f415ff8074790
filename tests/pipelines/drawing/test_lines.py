from hypothesis import given
from hypothesis import strategies as st

from pipelines.drawing.lines import MAX_LINES, Run, printable, query_runs, wrap
from pipelines.drawing.naming import Naming
from tests.strategies import queries, texts
from xdetr_data.record import Phrase, Provenance, Query

RED = Naming(number=1, color="red", regions=(0,), texts=("x",))
BLUE = Naming(number=2, color="blue", regions=(1,), texts=("y",))


def query(text: str, *phrases: tuple[tuple[int, int], ...]) -> Query:
    someone = Provenance(source="test")
    return Query(text=text, group="", phrases=tuple(Phrase(spans=spans, provenance=someone) for spans in phrases))


def characters(run: Run) -> float:
    return float(len(run.text))


def test_a_phrase_has_its_colour_and_its_number_behind_it() -> None:
    assert query_runs(query("a man runs", ((2, 5),)), [RED]) == [
        Run(text="a "),
        Run(text="man", naming=RED),
        Run(text="1", naming=RED, is_tag=True),
        Run(text=" runs"),
    ]


def test_inside_a_longer_phrase_the_shorter_gives_the_colour_and_the_longer_underlines() -> None:
    runs = query_runs(query("red car", ((0, 7),), ((4, 7),)), [RED, BLUE])
    assert runs == [
        Run(text="red ", naming=RED),
        Run(text="car", naming=BLUE, lines=("red",)),
        Run(text="2", naming=BLUE, is_tag=True),
        Run(text="1", naming=RED, is_tag=True),
    ]


def test_a_phrase_in_two_parts_has_one_number_behind_the_last() -> None:
    runs = query_runs(query("the red and big", ((4, 7), (12, 15))), [RED])
    assert [run.text for run in runs if run.naming and not run.is_tag] == ["red", "big"]
    assert [run.text for run in runs if run.is_tag] == ["1"]
    assert runs[-1].is_tag


def test_a_phrase_without_region_is_underlined_in_grey() -> None:
    (run,) = query_runs(query("man", ((0, 3),)), [None])
    assert (run.naming, run.lines) == (None, ("#777777",))


@given(queries(2))
def test_runs_spell_the_sentence(one: Query) -> None:
    runs = query_runs(one, [RED] * len(one.phrases))
    assert "".join(run.text for run in runs if not run.is_tag) == printable(one.text)
    assert sum(run.is_tag for run in runs) == len(one.phrases)


@given(texts())
def test_printable_text_keeps_every_position(text: str) -> None:
    assert len(printable(text)) == len(text)
    assert all(character.isprintable() for character in printable(text))


@given(st.lists(st.text("ab ", min_size=1, max_size=12), max_size=8), st.integers(3, 12))
def test_lines_fit_and_lose_no_letter(parts: list[str], width: int) -> None:
    lines = wrap([Run(text=part) for part in parts], float(width), characters)
    assert all(sum(map(characters, line)) <= width for line in lines)
    spelled = "".join(run.text for line in lines for run in line).replace(" ", "")
    letters = "".join(parts).replace(" ", "")
    assert spelled == letters or len(lines) == MAX_LINES


def test_lines_break_at_spaces_and_inside_words_only_if_they_must() -> None:
    def wrapped(text: str) -> list[str]:
        return ["".join(run.text for run in line) for line in wrap([Run(text=text)], 8.0, characters)]

    assert wrapped("one two three") == ["one two", "three"]
    assert wrapped("abcdefghijkl") == ["abcdefgh", "ijkl"]


def test_a_page_of_text_is_cut_with_an_ellipsis() -> None:
    lines = wrap([Run(text="word " * 500)], 10.0, characters)
    assert len(lines) == MAX_LINES
    assert lines[-1] == [Run(text="…")]
