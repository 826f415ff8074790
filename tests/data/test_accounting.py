import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import tallies
from xdetr_data.accounting import Tally, total
from xdetr_data.errors import XdetrDataError


def balanced() -> Tally:
    tally = Tally()
    tally.came_in("box", 5)
    tally.went_out("box", 2)
    tally.rejected("box", "merge_boxes", "duplicate", 2)
    tally.rejected("box", "check_boxes", "no-area")
    tally.note("clipped-boxes", 4)
    return tally


@given(tallies())
def test_builtins_survive_json_and_give_the_tally_back(tally: Tally) -> None:
    plain = tally.to_builtins()
    assert Tally.from_builtins(json.loads(json.dumps(plain))).to_builtins() == plain


@given(st.lists(tallies(), max_size=4))
def test_the_order_of_adding_does_not_matter(parts: list[Tally]) -> None:
    assert total(parts).to_builtins() == total(parts[::-1]).to_builtins()


@given(tallies(), tallies())
def test_adding_changes_only_the_sum(one: Tally, other: Tally) -> None:
    before = other.to_builtins()
    one.add(other)
    assert other.to_builtins() == before


@given(tallies())
def test_what_is_missing_is_rejected_and_then_it_balances(tally: Tally) -> None:
    for unit in tally.units():
        missing = tally.count(unit, "in") - tally.count(unit, "out") - tally.total_rejected(unit)
        tally.rejected(unit, "test", "missing", missing)
    assert tally.unbalanced() == []


def test_a_balanced_tally_passes_its_check() -> None:
    balanced().check()


@pytest.mark.parametrize("unit", ["box", "photo"])
def test_a_loss_without_a_reason_is_named(unit: str) -> None:
    tally = balanced()
    tally.came_in(unit)
    with pytest.raises(XdetrDataError, match=f"{unit}: "):
        tally.check()


def test_counts_are_told_by_stage_and_reason() -> None:
    tally = balanced()
    assert tally.units() == ["box"]
    assert tally.count("box", "merge_boxes", "duplicate") == 2
    assert tally.rejects("box") == {"check_boxes": {"no-area": 1}, "merge_boxes": {"duplicate": 2}}
    assert tally.total_rejected("box") == 3
    assert tally.to_builtins() == {
        "units": {"box": {"in": 5, "out": 2, "rejected": tally.rejects("box")}},
        "notes": {"clipped-boxes": 4},
    }


def test_a_note_drops_nothing() -> None:
    tally = Tally()
    tally.note("ambiguous-cuts", 3)
    assert tally.units() == []
    tally.check()
