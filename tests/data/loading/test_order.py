"""The order of samples: every one once a pass, ranks apart, the same number of steps for all."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import ConfigError
from xdetr_data.loading.order import Place, Schedule, Stream, pass_order, shuffled_within, visits_of_a_pass

uneven_shards = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda rows: sum(rows) >= 8)


def order(
    rows: list[int], *, number: int = 0, rank: int = 0, ranks: int = 1, buffer: int = 10
) -> list[tuple[int, int]]:
    found = pass_order([rows], seed=5, source="full", number=number, rank=rank, world_size=ranks, buffer=buffer)
    assert {own for _, _, own in found.tolist()} <= {number}
    return [(shard, visit) for shard, visit, _ in found.tolist()]


def stream(rows: list[int], *, batch: int = 4, rank: int = 0, ranks: int = 1, source: str = "full") -> Stream:
    return Stream(source=source, sizes=(tuple(rows),), batch_size=batch, seed=1, rank=rank, world_size=ranks, buffer=10)


@given(rows=uneven_shards, ranks=st.integers(1, 8), number=st.integers(0, 3), buffer=st.integers(1, 60))
def test_ranks_take_equally_many_samples_and_none_twice(rows: list[int], ranks: int, number: int, buffer: int) -> None:
    taken = [order(rows, number=number, rank=rank, ranks=ranks, buffer=buffer) for rank in range(ranks)]
    assert {len(one) for one in taken} == {sum(rows) // ranks}
    together = [one for samples in taken for one in samples]
    assert len(set(together)) == len(together)
    assert set(together) <= {(shard, row) for shard, count in enumerate(rows) for row in range(count)}
    assert sum(rows) - len(together) < ranks


@given(rows=uneven_shards, ranks=st.integers(1, 8), batch=st.integers(1, 5), others=uneven_shards)
def test_every_rank_takes_the_same_number_of_steps_whatever_the_shards_hold(
    rows: list[int], ranks: int, batch: int, others: list[int]
) -> None:
    steps = {
        Schedule(
            main=stream(rows, batch=batch, rank=rank, ranks=ranks),
            others=(stream(others, rank=rank, ranks=ranks, source="weak"),),
        ).steps_per_epoch
        for rank in range(ranks)
    }
    assert len(steps) == 1


@given(count=st.integers(1, 200), buffer=st.integers(1, 250), seed=st.integers(0, 99))
def test_a_buffer_moves_nothing_further_than_it_is_long(count: int, buffer: int, seed: int) -> None:
    found = shuffled_within(count, buffer, np.random.default_rng(seed))
    assert sorted(found.tolist()) == list(range(count))
    if buffer < count:
        assert np.abs(found - np.arange(count)).max() <= buffer


def test_an_order_is_the_same_again_and_another_for_another_pass() -> None:
    assert order([30, 10]) == order([30, 10])
    assert order([30, 10]) != order([30, 10], number=1)


def test_a_rank_reads_shard_after_shard() -> None:
    shards = [shard for shard, _ in order([100] * 8, rank=1, ranks=4, buffer=5)]
    changes = sum(a != b for a, b in itertools.pairwise(shards))
    assert len(set(shards)) <= 3
    assert changes < 12


def test_an_epoch_goes_once_over_the_main_source_and_the_next_in_another_order() -> None:
    schedule = Schedule(main=stream([10, 7], batch=4))
    epochs = [
        [place for step in range(schedule.steps_per_epoch) for place in schedule.step(epoch, step)["full"]]
        for epoch in range(2)
    ]
    for number, places in enumerate(epochs):
        assert len({(place.shard, place.visit) for place in places}) == len(places) == 16
        assert {place.number for place in places} == {number}
    assert [(p.shard, p.visit) for p in epochs[0]] != [(p.shard, p.visit) for p in epochs[1]]


def test_another_source_goes_on_where_the_epoch_before_stopped_and_begins_again_when_it_is_through() -> None:
    schedule = Schedule(main=stream([12], batch=4), others=(stream([5], batch=2, source="weak"),))
    places = [place for epoch in range(5) for step in range(3) for place in schedule.step(epoch, step)["weak"]]
    assert [place.number for place in places] == [position // 5 for position in range(30)]
    for number in range(6):
        assert sorted(place.visit for place in places if place.number == number) == [0, 1, 2, 3, 4]


def test_a_set_smaller_than_a_batch_repeats_samples_rather_than_giving_no_step() -> None:
    schedule = Schedule(main=stream([3], batch=8))
    first, second = (schedule.step(epoch, 0)["full"] for epoch in range(2))
    assert schedule.steps_per_epoch == 1
    assert {place.visit for place in first} == {0, 1, 2}
    assert len(first) == 8
    assert {place.number for place in first}.isdisjoint({place.number for place in second})


def test_fewer_samples_than_processes_are_refused() -> None:
    with pytest.raises(ConfigError, match="source full: 3 samples for 4 processes"):
        stream([2, 1], ranks=4)


def test_large_shares_are_shares_and_none_leaves_a_dataset_out() -> None:
    assert visits_of_a_pass([[30], [20]], [1e308, 1.5e308]) == (20, 30)
    with pytest.raises(ConfigError, match="no pass of 50 samples has one of dataset 2 of it; give it a larger share"):
        Stream(source="full", sizes=((30,), (20,)), batch_size=2, seed=0, rank=0, world_size=1, buffer=9,
               shares=(1.0, 1e-3))  # fmt: skip


def test_a_place_is_a_plain_value() -> None:
    assert Place(shard=1, visit=2, number=0) == Place(shard=1, visit=2, number=0)


datasets = st.lists(uneven_shards, min_size=1, max_size=3)


@given(sizes=datasets, ranks=st.integers(1, 8), number=st.integers(0, 3), buffer=st.integers(1, 60))
def test_of_several_datasets_every_visit_comes_once_a_pass_and_they_are_mixed_throughout(
    sizes: list[list[int]], ranks: int, number: int, buffer: int
) -> None:
    orders = [
        pass_order(sizes, seed=5, source="full", number=number, rank=rank, world_size=ranks, buffer=buffer).tolist()
        for rank in range(ranks)
    ]
    total = sum(map(sum, sizes))
    together = [(shard, visit) for order in orders for shard, visit, _ in order]
    shards = [count for dataset in sizes for count in dataset]
    assert {len(order) for order in orders} == {total // ranks}
    assert len(set(together)) == len(together)
    assert set(together) <= {(shard, visit) for shard, count in enumerate(shards) for visit in range(count)}
    assert total - len(together) < ranks
    ends = np.cumsum([len(dataset) for dataset in sizes])
    for index, dataset in enumerate(sizes):  # a run of a rank holds each in proportion, up to the buffer at its ends
        here = sum(ends[index] - len(dataset) <= shard < ends[index] for shard, _, _ in orders[0])
        assert abs(here - sum(dataset) * (total // ranks) / total) <= len(sizes) + 1


@given(sizes=datasets, shares=st.lists(st.floats(0.1, 10), min_size=3, max_size=3), passes=st.integers(1, 6))
def test_stated_shares_hold_in_every_pass_and_no_visit_comes_more_often_than_another_by_more_than_one(
    sizes: list[list[int]], shares: list[float], passes: int
) -> None:
    shares = shares[: len(sizes)]
    taken = visits_of_a_pass(sizes, shares)
    assert sum(taken) == sum(map(sum, sizes))
    for count, share in zip(taken, shares, strict=True):
        assert abs(count - share / sum(shares) * sum(taken)) <= 1
    seen = Counter(
        (shard, visit)
        for number in range(passes)
        for shard, visit, _ in pass_order(
            sizes, shares=shares, seed=5, source="full", number=number, rank=0, world_size=1, buffer=7
        ).tolist()
    )
    first = 0
    for dataset, count in zip(sizes, taken, strict=True):
        times = [seen[first + shard, visit] for shard, n in enumerate(dataset) for visit in range(n)]
        assert sum(times) == passes * count
        assert max(times) - min(times) <= 1
        first += len(dataset)
