"""Paragraphs as the unit of an epoch: every one once, whatever the shards, the ranks and where a run was resumed."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.loading.painted import PREFIX, query, record, sample, write_set
from xdetr_data.errors import InputError
from xdetr_data.loading.order import Schedule, Stream
from xdetr_data.loading.shard_set import open_shards
from xdetr_data.loading.visits import Visits
from xdetr_data.shards.groups import groups_per_sample
from xdetr_data.shards.writer import Sample
from xdetr_data.storage import Folder

Groups = Sequence[Sequence[int]]  # by shard and photo

PHOTO = sample("p", size_hw=(8, 8), boxes_xyxy=((1.0, 1.0, 5.0, 5.0),)).photo


def labelled(key: str, groups: int) -> Sample:
    """A photo with so many paragraphs, each of two queries that do not stand together."""
    queries = [query(f"a red box {n}", f"g{n}", ()) for _ in range(2) for n in range(groups)]
    return Sample(record(key, (8, 8), ((1.0, 1.0, 5.0, 5.0),), queries), PHOTO)


def write(path: Path, shards: Groups) -> Path:
    return write_set(
        path,
        [[labelled(f"p_{shard}_{row:03d}", n) for row, n in enumerate(rows)] for shard, rows in enumerate(shards)],
    )


def visited(visits: Visits, ranks: int, batch: int, epoch: int, first: int = 0) -> list[tuple[str, int | None]]:
    """What all ranks visit in an epoch from a step on: key and paragraph."""
    found = []
    for rank in range(ranks):
        stream = Stream(
            source="full", sizes=visits.sizes, batch_size=batch, seed=3, rank=rank, world_size=ranks, buffer=5
        )
        schedule = Schedule(main=stream)
        for step in range(first, schedule.steps_per_epoch):
            for place in schedule.step(epoch, step)["full"]:
                visit = visits.locate(place.shard, place.visit)
                found.append((visit.location.key, visit.paragraph))
    return found


uneven = st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=4).filter(
    lambda shards: sum(max(1, n) for rows in shards for n in rows) >= 8
)


@settings(max_examples=25, deadline=None)
@given(shards=uneven, ranks=st.integers(1, 8), epoch=st.integers(0, 2))
def test_over_all_ranks_an_epoch_visits_every_paragraph_once(shards: Groups, ranks: int, epoch: int) -> None:
    all_of_them = {
        (f"p_{shard}_{row:03d}", group)
        for shard, rows in enumerate(shards)
        for row, n in enumerate(rows)
        for group in range(max(1, n))
    }
    with TemporaryDirectory() as folder:
        visits = Visits(sets=(open_shards(str(write(Path(folder) / "set", shards)), "full"),), unit="paragraph")
        found = visited(visits, ranks, 1, epoch)
        again = visited(visits, ranks, 1, epoch, first=1)
    assert len(set(found)) == len(found) == len(all_of_them) // ranks * ranks  # fewer than the ranks sit out
    assert set(found) <= all_of_them
    steps = len(found) // ranks
    assert again == [one for index, one in enumerate(found) if index % steps]


def test_a_photo_as_the_unit_comes_once_however_many_paragraphs_it_has(tmp_path: Path) -> None:
    visits = Visits(sets=(open_shards(str(write(tmp_path / "set", [[5, 0], [1]])), "full"),), unit="photo")
    assert visits.sizes == ((2, 1),)
    assert sorted(visited(visits, 1, 1, 0)) == [("p_0_000", None), ("p_0_001", None), ("p_1_000", None)]


def test_shards_are_numbered_through_the_datasets_of_a_source(tmp_path: Path) -> None:
    sets = tuple(open_shards(str(write(tmp_path / name, groups)), "full") for name, groups in
                 (("a", [[1, 2], [3]]), ("b", [[2]])))  # fmt: skip
    visits = Visits(sets=sets, unit="paragraph")
    assert visits.sizes == ((3, 3), (2,))
    found = visits.locate(2, 1)
    assert (found.dataset, found.location.key, found.paragraph) == (1, "p_0_000", 1)
    assert visits.read(found) == sets[1].read(sets[1].locate(0, 0))


def test_what_stands_in_is_another_photo_in_every_trial(tmp_path: Path) -> None:
    visits = Visits(sets=(open_shards(str(write(tmp_path / "set", [[9, 1, 2, 0]])), "full"),), unit="paragraph")
    wanted = visits.locate(0, 8)
    assert (wanted.location.key, wanted.paragraph) == ("p_0_000", 8)
    others = [visits.stand_in(0, wanted, trial) for trial in range(1, 4)]
    assert [(one.location.key[-1], one.paragraph) for one in others] == [("3", 0), ("0", 8), ("1", 0)]


def test_groups_are_the_different_ones_of_a_photo_and_at_least_one(tmp_path: Path) -> None:
    path = write(tmp_path / "set", [[3, 0, 1], []])
    assert groups_per_sample(Folder(str(path)), f"{PREFIX}-000000").tolist() == [3, 1, 1]
    assert groups_per_sample(Folder(str(path)), f"{PREFIX}-000001").tolist() == []


def edit(path: Path, groups: int | None) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["shards"][0]["groups"] = groups
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_manifest_that_does_not_say_how_many_is_made_up_for_and_one_that_is_wrong_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set", [[3, 0, 1]])
    assert open_shards(str(path), "full").states_groups
    edit(path, None)
    old = open_shards(str(path), "full")
    assert not old.states_groups
    assert old.groups_per_shard == (5,)
    edit(path, 7)
    wrong = Visits(sets=(open_shards(str(path), "full"),), unit="paragraph")
    with pytest.raises(InputError, match=r"000000.parquet: holds 5 groups, the manifest states 7; see 'xdetr-data val"):
        wrong.locate(0, 0)


def test_a_manifest_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set", [[1]])
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["manifest_version"] == 2
    (path / "manifest.json").write_text(json.dumps(manifest | {"manifest_version": 3}))
    with pytest.raises(InputError, match="is of version 3, this tool reads up to 2"):
        open_shards(str(path), "full")
