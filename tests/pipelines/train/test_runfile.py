"""Run files: complete or refused, each refusal naming the key."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipelines.train.build import changed_config
from pipelines.train.differences import differences
from pipelines.train.recipe import group_plans, length_of
from pipelines.train.runfile import LinearPart, dump_run_file, parse_run_file, read_run_file
from xdetr_data.errors import ConfigError
from xdetr_model.losses.criterion import Criterion
from xdetr_model.network.configuration import AlignmentWeights, DetectionWeights
from xdetr_model.network.presets import preset

RUNS = Path(__file__).parents[3] / "manifests" / "runs"
TOY = (RUNS / "toy.yaml").read_text()


def refusal(text: str, *changes: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_run_file(text, "a.yaml", changes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bundled_run_file_is_complete_and_says_its_command(path: Path) -> None:
    run = read_run_file(path)
    assert run.title
    assert f"xdetr-train --run manifests/runs/{path.name}" in path.read_text()


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_resolved_run_file_reads_back_as_it_was(path: Path) -> None:
    run = read_run_file(path, ["seed=7"])
    assert run.seed == 7
    assert parse_run_file(dump_run_file(run), "resolved") == run


def test_an_unknown_key_is_named_with_the_nearest_valid_one() -> None:
    assert "key data.bufer is unknown (nearest valid key: buffer)" in refusal(TOY.replace("buffer:", "bufer:"))
    assert "key sead is unknown (nearest valid key: seed)" in refusal(TOY.replace("seed: 0", "seed: 0\nsead: 1"))


def leaves(values: dict[str, object], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(prefix + key)
        if isinstance(value, dict) and prefix + key != "model.config":
            found += leaves(value, f"{prefix}{key}.")
    return found


@given(st.sampled_from([key for key in leaves(yaml.safe_load(TOY)) if not key.endswith((".from", ".kind"))]))
def test_whichever_key_is_missing_is_named(key: str) -> None:
    values = yaml.safe_load(TOY)
    *parents, last = key.split(".")
    part = values
    for parent in parents:
        part = part[parent]
    del part[last]
    assert f"key {key} is missing" in refusal(yaml.safe_dump(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.workers=many", "data.workers: Expected `int`, got `str`"),
        ("data.unit=page", "data.unit: Invalid enum value 'page'"),
        ("batch.full=-1", "batch.full is -1; it must be at least 0"),
        ("batch.full=0", "batch.full, batch.pseudo and batch.weak are all 0"),
        ("data.flip=1.5", "data.flip is 1.5; it must be between 0 and 1"),
        ("data.shortest_px=[]", "data.shortest_px must list sizes"),
        ("optimiser.rates.rest=-1.0", "optimiser.rates.rest is -1.0"),
        ("optimiser.rates.rest=.nan", "optimiser.rates.rest is nan"),
        ("optimiser.ema_decay=1", "optimiser.ema_decay is 1.0"),
        ("schedule.rest={kind: cosine}", "schedule.rest"),
        ("schedule.rest.floor=5", "schedule.rest.floor is 5"),
        ("loss.pseudo_weight=0", "loss.pseudo_weight is 0 and there is no source but --pseudo"),
        ("model.start={from: nowhere}", "model.start"),
        ("data.buffr=3", "--set data.buffr: the run file has no such key (nearest valid key: data.buffer)"),
        ("seed", "must be written as key.inner=value"),
        ("seed=[", "--set seed: is no YAML"),
        ("seed={[a]: 1}", "--set seed: is no YAML"),
        ("seed=2001-99-99", "--set seed: is no YAML"),
        ("seed=18446744073709551616", "seed"),
        ("seed=9223372036854775808", "seed is 9223372036854775808; it must be below 2**63"),
        ("data.unit=" + "[" * 3000, "--set data.unit: is nested too deeply"),
        ("model.config=" + "[" * 100 + "]" * 100, "--set model.config: is nested too deeply"),
        ("optimiser.weight_decay=.inf", "optimiser.weight_decay is inf; it must be a finite number"),
        ("optimiser.clip_norm=.nan", "optimiser.clip_norm is nan; it must be a finite number"),
        ("model.config={dropout: .nan}", "model.config.dropout is nan; it must be a finite number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(change: str, message: str) -> None:
    only_pseudo = ("batch.full=0", "batch.pseudo=4") if change == "loss.pseudo_weight=0" else ()
    assert message in refusal(TOY, *only_pseudo, change)


DROP = "schedule.rest={kind: step_drop, after_epoch: 3, gamma: 0.1, warmup_steps: %d}"


def test_rates_must_drop_before_the_end() -> None:
    epochs = ("schedule.unit=epochs", "schedule.length=3")
    assert "schedule.rest.after_epoch is 3, but the run has 3 epochs" in refusal(TOY, *epochs, DROP % 0)
    assert "schedule.rest.warmup_steps is -1; it must be at least 0" in refusal(TOY, *epochs[:1], DROP % -1)
    run = parse_run_file(TOY, "a.yaml", ["schedule.unit=steps", "schedule.length=31", DROP % 0])
    assert length_of(run, 10).total_steps == 31
    with pytest.raises(ConfigError, match=r"after_epoch is 3, but the run's 31 steps are 2\.8 epochs"):
        length_of(run, 11)


def test_numbers_may_be_written_with_a_bare_exponent() -> None:
    run = parse_run_file(TOY, "a.yaml", ["optimiser.rates.rest=1e-4"])
    assert run.optimiser.rates.rest == 1e-4


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "key 'seed' stands twice" in refusal(TOY.replace("seed: 0", "seed: 0\nseed: 1"))


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "\t", "!!python/object/apply:os.system ['true']"])
def test_what_is_no_run_file_is_refused_in_one_line(text: str) -> None:
    assert refusal(text).startswith("a.yaml: ")


def test_a_run_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("--run ") + ".*nothing.yaml: cannot be read"):
        read_run_file(tmp_path / "nothing.yaml")


PAPER = {
    "pretrain_teacher": (10, 8, (1e-5, 2.5e-5, 1e-5, 1e-4)),
    "pretrain": (10, 8, (1e-5, 2.5e-5, 1e-5, 1e-4)),
    "finetune_lvis_1": (50, 40, (1e-5, 1e-5, 5e-6, 5e-5)),
    "finetune_lvis_10": (50, 40, (1e-5, 1e-5, 5e-6, 5e-5)),
    "finetune_lvis_100": (50, 40, (1e-5, 1e-5, 5e-6, 5e-5)),
    "finetune_flickr30k": (3, 2, (5e-6, 5e-6, 2.5e-6, 2.5e-5)),
    "finetune_refcoco": (4, 3, (1e-6, 1e-5, 5e-6, 5e-5)),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_recipes_of_the_paper_have_its_epochs_and_rates(name: str) -> None:
    run = read_run_file(RUNS / f"{name}.yaml")
    epochs, drop, (backbone, text, projections, rest) = PAPER[name]
    assert (run.schedule.unit, run.schedule.length) == ("epochs", epochs)
    assert run.schedule.rest.after_epoch == drop  # type: ignore[union-attr]
    rates = run.optimiser.rates
    assert (rates.backbone, rates.text_encoder, rates.deformable_projections, rates.rest) == (
        *(backbone, text, projections, rest),
    )
    assert (run.optimiser.kind, run.optimiser.weight_decay, run.optimiser.ema_decay) == ("adamw", 1e-4, 0.9998)
    assert run.optimiser.scale_rates
    assert run.data.unit == ("photo" if "lvis" in name else "paragraph")
    assert run.batch.full == 4
    assert isinstance(run.schedule.text_encoder, LinearPart)
    assert run.schedule.text_encoder.warmup_share > 0


FINETUNED = {
    *("title", "data_note", "model.preset", "batch.pseudo", "batch.weak", "optimiser.ema_warm_up"),
    *("schedule.length", "schedule.rest.after_epoch", "evaluate.every_steps"),
}
CLASSES = {
    *("data.crop", "data.shortest_px", "data.unit", "data.buffer"),
    *("data.queries_per_photo", "data.absences_per_photo", "data.unknown_per_photo"),
}


@pytest.mark.parametrize("name", [name for name in PAPER if name.startswith("finetune")])
def test_the_other_settings_of_fine_tuning_are_those_of_pretraining(name: str) -> None:
    before, after = (msgspec.to_builtins(read_run_file(RUNS / f"{one}.yaml")) for one in ("pretrain", name))
    changed = {place for place, _, _ in differences(before, after, "")}
    changed = {one for one in changed if not one.startswith(("model.start", "model.config", "optimiser.rates"))}
    assert changed == FINETUNED | (CLASSES if "lvis" in name else {"data.crop"} if "refcoco" in name else set())
    assert ("lvis" in name) == (list(after["data"]["shortest_px"]) == [800])
    assert after["model"]["config"] == {}  # its losses are those of the checkpoint


@pytest.mark.parametrize("name", ["pretrain_teacher", "pretrain"])
def test_the_weights_of_the_losses_are_the_papers(name: str) -> None:
    run = read_run_file(RUNS / f"{name}.yaml")
    losses = Criterion.from_config(changed_config(preset(str(run.model.preset)).config, run.model.config))
    assert losses.detection == DetectionWeights(objectness=1.0, giou=2.0, l1=5.0)
    assert losses.alignment == AlignmentWeights(o2t=1.0, t2o=1.0, i2c=1.0, c2i=1.0)
    assert losses.objectness.kind == "bce"
    assert losses.rules.layers == "all"


def test_rates_are_scaled_by_the_full_photos_of_all_processes() -> None:
    def backbone(*changes: str) -> float:
        return group_plans(read_run_file(RUNS / "pretrain.yaml", changes), 8)["backbone"].rate

    assert backbone() == pytest.approx(1e-5 * 4 * 8 / 16)
    assert backbone("batch.pseudo=20", "batch.weak=0") == backbone()
    assert backbone("batch.full=8") == backbone("optimiser.accumulate=2") == pytest.approx(2 * backbone())
    assert backbone("optimiser.scale_rates=false") == 1e-5


def test_the_two_rounds_of_pretraining_differ_in_pseudo_labels_alone() -> None:
    teacher, student = (read_run_file(RUNS / f"{name}.yaml") for name in ("pretrain_teacher", "pretrain"))
    assert (teacher.batch.full, teacher.batch.pseudo, teacher.batch.weak) == (4, 0, 4)
    assert (student.batch.full, student.batch.pseudo, student.batch.weak) == (4, 2, 4)
    named = {"title": "", "data_note": "", "batch": teacher.batch}
    assert replace(teacher, **named) == replace(student, **named)
    assert student.model.config == {
        "aligned_layers": "all", "gather_words": False, "gather_captions": True, "textless_regions": "ignore",
    }  # fmt: skip
