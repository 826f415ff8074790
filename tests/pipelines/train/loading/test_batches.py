"""Batches of three sources: who gets what, the same again after a resume, and refusals in one line."""

import pickle
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image
from transformers import PreTrainedTokenizerBase
from transformers.image_transforms import get_size_with_aspect_ratio

from pipelines.train.loading.batches import SourceConfig, TrainBatches
from pipelines.train.loading.handover import RawBatch
from pipelines.train.loading.to_device import pad_photos
from tests.data.loading.painted import PREFIX, painted_set, query, red_box, sample, write_set
from tests.data.loading.test_classes import NAMES, said
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.loading import pixels as data_pixels
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.view import resized_hw
from xdetr_data.photos.decoding import open_photo
from xdetr_model.losses.targets import text_hash
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import SourceName, StepBatch

DATA = DataConfig(seed=7, shortest_px=(24, 32, 48), longest_px=64, buffer=6, workers=0, max_unreadable=4)
PLAIN = replace(DATA, shortest_px=(48,), crop=0.0, flip=0.0, jitter=0.0)
SIZES: dict[SourceName, int] = {"full": 4, "pseudo": 2, "weak": 4}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return word_tokenizer()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[SourceName, Path]:
    root = tmp_path_factory.mktemp("sets")
    return {
        "full": painted_set(root / "full", [13, 1, 9], "full"),
        "pseudo": painted_set(root / "pseudo", [3, 4], "pseudo"),
        "weak": painted_set(root / "weak", [30, 11], "weak"),
    }


def batches(
    sets: Mapping[SourceName, Path],
    tokenizer: PreTrainedTokenizerBase,
    data: DataConfig = DATA,
    sizes: Mapping[SourceName, int] = SIZES,
    **more: Any,
) -> TrainBatches:
    sources = {name: SourceConfig(paths=(str(path),), batch_size=sizes[name]) for name, path in sets.items()}
    return TrainBatches(sources, data, tokenizer, 32, **more)


def keys(steps: Iterator[StepBatch]) -> list[tuple[str, ...]]:
    return [step.keys for step in steps]


def contents(steps: Iterator[StepBatch]) -> list[tuple[Any, ...]]:
    return [(one.keys, one.pixel_values.sum().item(), one.targets.input_ids.tolist()) for step in steps for one in step]


def test_a_step_holds_the_photos_of_three_sources(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    loader = batches(sets, tokenizer)
    assert loader.steps_per_epoch == 23 // 4
    assert loader.samples == {"full": 23, "pseudo": 7, "weak": 41}
    for step in loader.epoch(0):
        for source, size in SIZES.items():
            one = getattr(step, source)
            assert len(one.keys) == size == len(one.targets.regions_per_photo)
            assert all(key.startswith(source) for key in one.keys)
            assert one.pixel_values.dtype == torch.float32
            assert one.pixel_mask is None or one.pixel_mask.shape == (size, *one.pixel_values.shape[2:])
        assert step.full.targets.is_annotated.all()
        assert not step.full.targets.is_caption.any()
        assert len(step.full.targets.positive_region) > 0
        assert not step.pseudo.targets.is_caption.any()
        assert not step.weak.targets.is_annotated.any()
        assert step.weak.targets.is_caption.all()
        assert len(step.weak.targets.boxes_cxcywh_norm) == 0


@pytest.mark.parametrize("absent", ["full", "pseudo", "weak"])
def test_any_source_may_be_absent_or_of_batch_size_zero(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase, absent: SourceName
) -> None:
    fewer = {name: path for name, path in sets.items() if name != absent}
    loader = batches(fewer, tokenizer)
    assert {one.source for step in loader.epoch(0) for one in step} == set(fewer)
    again = batches(sets, tokenizer, sizes={**SIZES, absent: 0})
    assert keys(again.epoch(0)) == keys(batches(fewer, tokenizer).epoch(0))


def test_ranks_are_disjoint_and_take_the_same_steps(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    ranks = [batches(sets, tokenizer, rank=rank, world_size=3) for rank in range(3)]
    assert {one.steps_per_epoch for one in ranks} == {1}
    full = [key for one in ranks for step in one.epoch(0) for key in step.full.keys]
    weak = [key for one in ranks for step in one.epoch(1) for key in step.weak.keys]
    assert len(set(full)) == len(full) == 12
    assert len(set(weak)) == len(weak) == 12


@pytest.mark.parametrize("stop", [0, 2, 5])
def test_a_resumed_run_goes_on_with_the_same_keys_and_pixels_whatever_the_number_of_loader_processes(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase, stop: int
) -> None:
    whole = batches(sets, tokenizer)
    uninterrupted = [*contents(whole.epoch(0)), *contents(whole.epoch(1))]
    before = batches(sets, tokenizer, replace(DATA, workers=2))
    steps = before.epoch(0)
    taken = contents(islice(steps, stop))
    state = pickle.loads(pickle.dumps(before.state_dict()))
    steps.close()
    after = batches(sets, tokenizer, replace(DATA, workers=1))
    after.load_state_dict(state)
    assert after.position == (0, stop)
    rest = [*contents(after.epoch(0)), *contents(after.epoch(1))]
    assert taken + rest == uninterrupted
    assert after.counts == whole.counts


@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_paragraphs_are_read_once_an_epoch_over_all_ranks_and_after_a_resume_with_other_loaders(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, ranks: int
) -> None:
    words = ("a red box", "the red box here", "one red thing", "box", "red")
    groups = [[3, 1, 5], [2], [4, 4, 1, 2, 5]]  # of the photos of shards that are not alike
    shards = [
        [
            sample(f"p_{n}_{row}", queries=[query(text, text, ()) for text in words[:count]])
            for row, count in enumerate(c)
        ]
        for n, c in enumerate(groups)
    ]
    full: dict[SourceName, Path] = {"full": write_set(tmp_path / "full", shards)}
    data = replace(PLAIN, unit="paragraph")

    def visits(steps: Iterator[StepBatch]) -> list[tuple[str, str]]:
        return [
            (key, tokenizer.decode(ids, skip_special_tokens=True))
            for step in steps
            for key, ids in zip(step.full.keys, step.full.targets.input_ids, strict=True)
        ]

    found = []
    for rank in range(ranks):
        of_rank = {"sizes": {"full": 1}, "rank": rank, "world_size": ranks}
        whole = visits(batches(full, tokenizer, data, **of_rank).epoch(0))
        before = batches(full, tokenizer, replace(data, workers=1), **of_rank)
        steps = before.epoch(0)
        taken = visits(islice(steps, len(whole) // 2))
        state = before.state_dict()
        steps.close()
        after = batches(full, tokenizer, replace(data, workers=2), **of_rank)
        after.load_state_dict(state)
        assert taken + visits(after.epoch(0)) == whole
        found += whole
    every = {
        (f"p_{n}_{row}", text) for n, c in enumerate(groups) for row, count in enumerate(c) for text in words[:count]
    }
    assert len(every) == 27
    assert len(found) == 27 // ranks * ranks
    assert len(set(found)) == len(found)
    assert set(found) <= every


def test_a_state_of_another_order_is_refused_by_name(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    state = batches(sets, tokenizer).state_dict()
    with pytest.raises(ConfigError, match=r"data\.seed was 7 and is 8 now"):
        batches(sets, tokenizer, replace(DATA, seed=8)).load_state_dict(state)
    with pytest.raises(ConfigError, match=r"world_size was 1 and is 2 now"):
        batches(sets, tokenizer, world_size=2).load_state_dict(state)
    with pytest.raises(ConfigError, match=r"sources\.pseudo\.batch_size was 2 and is 3 now"):
        batches(sets, tokenizer, sizes={**SIZES, "pseudo": 3}).load_state_dict(state)
    with pytest.raises(ConfigError, match="version 0"):
        batches(sets, tokenizer).load_state_dict(state | {"version": 0})


def test_boxes_and_pixels_of_a_batch_belong_together(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    transform = PhotoTransform(shortest_px=1, longest_px=1)
    mean, std = (np.array(one)[:, None, None] for one in (transform.mean, transform.std))
    for step in batches({"full": sets["full"]}, tokenizer).epoch(0):
        assert step.full.targets.regions_per_photo == (1, 1, 1, 1)
        for index, (cx, cy, w, h) in enumerate(step.full.targets.boxes_cxcywh_norm.tolist()):
            bytes_like = ((step.full.pixel_values[index].numpy() * std + mean) * 255).round()
            mask = step.full.pixel_mask
            height, width = bytes_like.shape[1:] if mask is None else (mask[index].sum(dim).max() for dim in (0, 1))
            told = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * np.array([width, height] * 2)
            assert np.abs(np.array(red_box(bytes_like.transpose(1, 2, 0))) - told).max() <= 2
            if mask is not None:
                assert step.full.pixel_values[index][:, ~mask[index]].abs().sum() == 0


def test_photos_are_sized_and_normalised_as_those_that_the_model_sees_later(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    step = next(batches({"full": sets["full"]}, tokenizer, PLAIN).epoch(0))
    assert step.full.pixel_mask is None
    path = next(iter(Path(sets["full"]).glob("*.tar")))
    assert path.exists()
    labels = sample(step.full.keys[0])
    transform = PhotoTransform(shortest_px=48, longest_px=64)
    prepared = transform.prepare(open_photo(labels.photo.data))  # type: ignore[union-attr]
    batch = transform.batch([prepared])
    wanted = transform.normalise(batch.pixels, batch.mask, torch.float32)
    assert torch.allclose(step.full.pixel_values[:1], wanted, atol=1e-6)


def test_recolouring_is_that_of_pillow_up_to_rounding() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8))
    recolour = data_pixels.draw_recolour(np.random.default_rng(1), 0.4)
    assert recolour is not None
    raw = RawBatch(keys=("a",), sizes_hw=((9, 7),), recolours=(recolour,), begin=4, targets={})
    lent = torch.from_numpy(np.frombuffer(b"skip" + photo.tobytes("raw", "RGBX"), dtype=np.uint8).copy())
    transform = PhotoTransform(shortest_px=1, longest_px=1, mean=(0, 0, 0), std=(1 / 255,) * 3)
    values, mask = pad_photos(lent, raw, transform)
    assert mask is None
    wanted = np.asarray(photo.convert("RGB", recolour)).transpose(2, 0, 1)
    assert np.abs(values[0].numpy() - wanted).max() <= 1.0


@pytest.mark.parametrize("size_hw", [(480, 640), (333, 500), (640, 213), (17, 2000), (100, 100), (801, 799)])
@pytest.mark.parametrize("shortest", [100, 480, 799, 800])
def test_sizes_are_those_of_the_library(size_hw: tuple[int, int], shortest: int) -> None:
    assert resized_hw(size_hw, shortest, 1333) == PhotoTransform(shortest_px=shortest, longest_px=1333).resized_hw(
        size_hw
    )
    if min(size_hw) > 20:
        assert resized_hw(size_hw, shortest, 1333) == get_size_with_aspect_ratio(size_hw, shortest, 1333)


def broken_set(root: Path, rows: int, broken: set[int]) -> Path:
    """A set of which the photos of these rows have lost their first bytes."""
    path = write_set(root, [[sample(f"b_{row:05d}", queries=[query(f"a red box {row:02d}")]) for row in range(rows)]])
    tar = path / f"{PREFIX}-000000.tar"
    parts = tar.read_bytes().split(b"\x89PNG")
    mended = parts[0]
    for row, part in enumerate(parts[1:]):
        mended += (b"XXXX" if row in broken else b"\x89PNG") + part
    tar.write_bytes(mended)
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_single_unreadable_sample_is_counted_and_replaced_by_the_same_one_every_time(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, workers: int
) -> None:
    sets: dict[SourceName, Path] = {"full": broken_set(tmp_path / "set", 12, {5})}
    loader = batches(sets, tokenizer, replace(DATA, workers=workers))
    found = [key for step in loader.epoch(0) for key in step.full.keys]
    assert len(found) == 12
    assert loader.counts.photos_unreadable == 1
    assert loader.counts.photos == 12
    assert "b_00005" not in found
    assert len(set(found)) == 11
    assert found == [key for step in batches(sets, tokenizer).epoch(0) for key in step.full.keys]


@pytest.mark.parametrize("broken", [set(range(12)), set(range(9))], ids=["all", "most"])
def test_too_many_unreadable_samples_in_a_row_end_the_run_in_one_line(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, broken: set[int]
) -> None:
    sets: dict[SourceName, Path] = {"full": broken_set(tmp_path / "set", 12, broken)}
    loader = batches(sets, tokenizer, replace(DATA, buffer=1, workers=1))
    with pytest.raises(InputError, match=r"4 samples in a row are unreadable \(one of them b_0000\d: ") as ended:
        list(loader.epoch(0))
    assert "\n" not in str(ended.value)


def test_nothing_to_train_on_and_a_set_that_is_none_are_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(ConfigError, match="no source to train on"):
        batches({}, tokenizer)
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        batches({"full": tmp_path}, tokenizer)
    with pytest.raises(ConfigError, match="crop 2 must be between 0 and 1"):
        batches({}, tokenizer, replace(DATA, crop=2))


def test_waiting_for_data_is_timed(sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase) -> None:
    loader = batches(sets, tokenizer)
    list(loader.epoch(0))
    assert 0 < loader.waited_seconds < 60


def set_of_classes(path: Path, rows: int) -> Path:
    vocabulary = [{"id": number, "name": text, "text": text, "frequency": "f"} for number, text in NAMES.items()]
    queries = [said(7, 0), said(8), said(11)]
    samples = [sample(f"classes_{number:05d}", queries=queries) for number in range(rows)]
    return write_set(path, [samples], {"vocabulary": vocabulary})


def test_a_step_on_classes_knows_what_is_said_of_each_photo(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    data = replace(PLAIN, absences_per_photo=1, unknown_per_photo=2)
    of_classes = {"full": set_of_classes(tmp_path / "classes", 5)}
    steps = [step.full.targets for step in batches(of_classes, tokenizer, data, {"full": 4}).epoch(0)]
    (targets,) = steps
    assert targets.query_photo.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert targets.federated_photo.tolist() == [0, 1, 2, 3]
    cat, dog, tree = (text_hash(text) for text in ("cat", "dog", "tree"))
    assert targets.known_text.tolist() == [cat, dog, tree] * 4
    texts = [set(row.tolist()) for row in targets.caption_text.split(4)]
    assert all(cat in row and len(row & {dog, tree}) == 1 for row in texts)
    assert len({frozenset(row) for row in texts}) > 1, "every photo has draws of its own"
    again = batches(of_classes, tokenizer, replace(data, workers=1), {"full": 4}).epoch(0)
    assert contents(again) == contents(batches(of_classes, tokenizer, data, {"full": 4}).epoch(0))


def test_photos_of_classes_and_of_sentences_meet_in_one_step(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    paths = (str(set_of_classes(tmp_path / "classes", 10)), str(sets["full"]))
    data = replace(PLAIN, absences_per_photo=1)
    loader = TrainBatches({"full": SourceConfig(paths=paths, batch_size=8)}, data, tokenizer, 32)
    for step in loader.epoch(0):
        assert step.full is not None
        is_of_classes = [index for index, key in enumerate(step.full.keys) if key.startswith("classes")]
        assert step.full.targets.federated_photo.tolist() == is_of_classes


def test_sampling_of_classes_that_no_dataset_has_is_refused(
    sets: dict[SourceName, Path], tokenizer: PreTrainedTokenizerBase
) -> None:
    for key in ("absences_per_photo", "unknown_per_photo"):
        with pytest.raises(ConfigError, match=f"data.{key} is 3, but no dataset has a vocabulary of classes: give one"):
            batches(sets, tokenizer, replace(DATA, **{key: 3}))
