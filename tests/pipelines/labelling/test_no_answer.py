"""A model that says NaN: single photos are rejects, too many end the run with a line that names the checkpoint."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pipelines.engine.run import run_recipe
from pipelines.labelling.answers import check_answers, no_answer
from pipelines.recipes.locnar import recipe
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import FARM, FOUND, ROOM, SIZES_HW, Candidates, KnowingGrounder, World, options_of
from tests.pipelines.tiny import records_of, reject_counts, rejects_of, run_cli
from xdetr_data.errors import InputError
from xdetr_data.storage import Folder
from xdetr_data.toyworld.world import write_toyworld


class NanGrounder(KnowingGrounder):
    """Says NaN of the photos of some sizes."""

    def __init__(self, sizes_hw: set[tuple[int, int]]) -> None:
        super().__init__(FOUND)
        self._sizes_hw = sizes_hw

    def _answer(self, size_hw: tuple[int, int], name: str, keep: int) -> Candidates:
        found = super()._answer(size_hw, name, keep)
        if size_hw not in self._sizes_hw:
            return found
        return Candidates(boxes_xyxy=found.boxes_xyxy, scores=np.full(len(found.scores), np.nan, np.float32))


def load_nan_for_room(name: str, **_: Any) -> NanGrounder:
    return NanGrounder({SIZES_HW[ROOM]})


def load_nan(name: str, **_: Any) -> NanGrounder:
    return NanGrounder(set(SIZES_HW.values()))


def test_a_photo_without_a_finite_answer_is_a_reject_with_all_that_speaks_of_it(tmp_path: Path) -> None:
    World().write(tmp_path)
    made = recipe(options_of(tmp_path), load=load_nan_for_room)
    run_recipe(made, Folder(str(tmp_path / "out")), workers=0, existing="refuse")
    counts = reject_counts(tmp_path / "out")
    assert [counts["photo", "no-finite-answer"], counts["narrative", "no-finite-answer"]] == [1, 1]
    (reject,) = [one for one in rejects_of(tmp_path / "out") if one.unit == "photo"]
    assert ROOM in reject.key
    assert reject.detail == "all of its 2 candidates are NaN or infinite"
    (record,) = records_of(tmp_path / "out")
    assert FARM in record.key


def test_a_model_that_answers_nothing_ends_the_run(tmp_path: Path) -> None:
    World().write(tmp_path)
    made = recipe(options_of(tmp_path), load=load_nan)
    with pytest.raises(InputError, match=r"^--ckpt none: .*NaN or infinity for 2 of 2 photos"):
        run_recipe(made, Folder(str(tmp_path / "out")), workers=0, existing="refuse")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("answered", "unanswered", "ends"),
    [(0, 0, False), (0, 1, True), (1, 2, False), (26, 3, True), (27, 3, False), (900, 101, True)],
)
def test_a_tenth_of_the_photos_may_be_without_an_answer(answered: int, unanswered: int, ends: bool) -> None:
    if not ends:
        check_answers(answered, unanswered, "c", "float32")
        return
    with pytest.raises(InputError, match="try float32"):
        check_answers(answered, unanswered, "c", "float16")


def test_no_candidates_are_an_answer_and_one_finite_one_is_enough() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, np.inf, 1.0, 1.0]])
    nothing = Candidates(boxes_xyxy=np.zeros((0, 4)), scores=np.zeros(0))
    assert no_answer([nothing, nothing]) is None
    assert no_answer([nothing, Candidates(boxes_xyxy=boxes, scores=np.array([0.1, 0.1]))]) is None
    assert no_answer([nothing, Candidates(boxes_xyxy=boxes, scores=np.array([np.nan, 0.1]))]) is not None


def test_a_damaged_weight_ends_labelling_with_one_line(tmp_path: Path) -> None:
    ckpt = save_toy(tmp_path / "toy")
    shutil.copytree(ckpt, tmp_path / "ckpt")
    weights = load_file(tmp_path / "ckpt" / "model.safetensors")
    next(value for name, value in weights.items() if "embedder.convolution" in name).view(-1)[0] = float("nan")
    save_file(weights, tmp_path / "ckpt" / "model.safetensors", metadata={"format": "pt"})
    world = tmp_path / "world"
    write_toyworld(world, photos=40, seed=0)
    where = [
        f"--narratives={world}/locnar/open_images_train*.jsonl",
        f"--images={world}/photos/openimages",
        "--workers=0",
    ]
    ended = run_cli(
        "pseudo-label", "locnar", f"--ckpt={tmp_path / 'ckpt'}", *where, "--device=cpu", f"--out={tmp_path / 'out'}"
    )
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert f"--ckpt {tmp_path / 'ckpt'}: gives nothing but NaN" in ended.errors[0]
