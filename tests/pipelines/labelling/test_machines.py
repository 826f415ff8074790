"""Labels of a model say what they were made on, and are not finished on something else unasked."""

import os
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.engine.run import run_recipe
from pipelines.machine import LIBRARIES, Machine, this_machine
from pipelines.recipes.locnar import recipe
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import World, differing, files_of, load_knowing, options_of
from tests.pipelines.tiny import Ended, manifest_of, run_cli
from tests.pipelines.tiny import World as MixedWorld
from tests.pipelines.tiny import usual_args as mixed_args
from xdetr_data.errors import ConfigError
from xdetr_data.manifest import Manifest
from xdetr_data.storage import Folder


def old_cpu(device: str) -> Machine:
    return {"cpu_capability": "AVX2", "device": "cpu", "torch": "2.13.0"}


def new_cpu(device: str) -> Machine:
    return old_cpu(device) | {"cpu_capability": "AVX512"}


def new_torch(device: str) -> Machine:
    return new_cpu(device) | {"torch": "2.14.0"}


def every_process_another(device: str) -> Machine:
    return old_cpu(device) | {"cpu_capability": f"of process {os.getpid()}"}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    return tmp_path


def label(world: Path, *, out: str = "out", workers: int = 0, existing: Any = "refuse", **how: Any) -> Manifest:
    """A run of several shards."""
    machine = {"machine": how.pop("machine")} if "machine" in how else {}
    made = recipe(options_of(world, shard_bytes=2000), load=load_knowing, **machine)
    return run_recipe(made, Folder(str(world / out)), workers=workers, existing=existing, **how)


def interrupt(out: Path, lost: str = "grounded/*-000001.stats.json") -> None:
    """Makes a finished dataset one that was killed before some of its done-markers stood."""
    digest = manifest_of(out).config_hash
    for path in [out / "manifest.json", *out.glob(lost)]:
        path.unlink()
    (out / "_work").mkdir()
    (out / "_work" / "run.json").write_text(f'{{"config_hash":"{digest}"}}')


def test_a_manifest_of_labels_names_processor_device_and_versions(world: Path) -> None:
    (machine,) = label(world).machines
    assert machine == this_machine("auto")
    assert machine["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert machine["device"] == ("cpu" if not torch.cuda.is_available() else torch.cuda.get_device_name())
    assert {name: machine[name] for name in LIBRARIES} == {name: metadata.version(name) for name in LIBRARIES}


def test_a_dataset_without_a_model_names_no_machine(tmp_path: Path) -> None:
    MixedWorld().write(tmp_path)
    assert run_cli(*mixed_args(tmp_path)).code == 0
    assert manifest_of(tmp_path / "out").machines == []


def test_only_manifest_and_done_markers_of_the_model_name_a_machine(world: Path) -> None:
    label(world, out="old", machine=old_cpu)
    label(world, out="new", machine=new_cpu)
    markers = sorted(f"grounded/{path.name}" for path in (world / "old" / "grounded").glob("*.stats.json"))
    assert differing(files_of(world / "old"), files_of(world / "new")) == [*markers, "manifest.json"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (old_cpu, r"\(cpu_capability AVX512, here AVX2\)"),
        (new_torch, r"\(torch 2\.13\.0, here 2\.14\.0\)"),
        (lambda device: new_cpu(device) | {"device": "NVIDIA H100"}, r"\(device cpu, here NVIDIA H100\)"),
        (lambda device: new_cpu(device) | {"spacy": "4"}, r"\(spacy None, here 4\)"),
    ],
    ids=["processor", "library", "gpu", "new-name"],
)
def test_a_run_does_not_go_on_on_another_kind_unasked(other: Any, says: str, world: Path) -> None:
    label(world, machine=new_cpu)
    whole = files_of(world / "out")
    interrupt(world / "out")
    with pytest.raises(ConfigError, match=f"another kind of machine {says}.*--other-machine") as caught:
        label(world, existing="resume", machine=other)
    assert str(world / "out") in str(caught.value)
    label(world, existing="resume", machine=new_cpu)
    assert differing(files_of(world / "out"), whole) == []


def test_a_run_that_is_told_to_goes_on_and_lists_both_kinds(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label(world, machine=new_cpu)
    interrupt(world / "out")
    manifest = label(world, existing="resume", machine=old_cpu, other_machine=True)
    assert manifest.machines == [old_cpu(""), new_cpu("")]
    assert warnings(capsys.readouterr().err) == [
        "warning: shards are labelled on several kinds of machine (cpu_capability AVX512, here AVX2), so last bits of "
        "scores depend on which took which; the manifest lists all kinds"
    ]
    interrupt(world / "out")
    assert label(world, existing="resume", machine=new_cpu).machines == [new_cpu("")]


def test_what_needs_no_model_goes_on_anywhere(world: Path) -> None:
    label(world, machine=new_cpu)
    whole = files_of(world / "out")
    interrupt(world / "out", lost="locnar-*.stats.json")
    label(world, existing="resume", machine=old_cpu)
    assert differing(files_of(world / "out"), whole) == []


def test_a_run_without_a_finished_shard_goes_on_anywhere(world: Path) -> None:
    label(world, machine=new_cpu)
    interrupt(world / "out", lost="grounded/*.stats.json")
    assert label(world, existing="resume", machine=old_cpu).machines == [old_cpu("")]


def test_a_cluster_of_several_kinds_warns_once_and_is_listed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = label(world, workers=2, machine=every_process_another)
    assert len(manifest.machines) == 2
    (line,) = warnings(capsys.readouterr().err)
    assert "several kinds of machine (cpu_capability of process" in line
    interrupt(world / "out")
    with pytest.raises(ConfigError, match="another kind of machine"):
        label(world, workers=1, existing="resume", machine=every_process_another)


def test_one_kind_warns_of_nothing(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(label(world, workers=2, machine=old_cpu).machines) == 1
    assert warnings(capsys.readouterr().err) == []


def test_what_is_made_from_labels_names_their_machine(world: Path) -> None:
    label(world, machine=old_cpu)
    again = run_cli("rethreshold", str(world / "out"), f"--out={world / 'again'}", "--workers=0", "--method=multi")
    assert again.code == 0, again.stderr
    assert manifest_of(world / "again").machines == [old_cpu("")]


def warnings(stderr: str) -> list[str]:
    lines = [line for line in stderr.splitlines() if line.startswith("warning:")]
    return [line for line in lines if "no --exclude list" not in line]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


def command(world: Path, toy: Path, *args: str) -> Ended:
    inputs = [f"--narratives={world / 'told.jsonl'}", f"--images={world / 'photos'}", "--shard-bytes=2000"]
    return run_cli(
        "pseudo-label",
        "locnar",
        f"--ckpt={toy}",
        *inputs,
        f"--out={world / 'out'}",
        "--workers=0",
        "--device=cpu",
        *args,
    )


def test_the_command_says_so_in_one_line_and_goes_on_when_told(
    world: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(world, toy).code == 0
    here = manifest_of(world / "out").machines[0]["cpu_capability"]
    interrupt(world / "out")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX1024")
    refused = command(world, toy, "--resume")
    assert refused.code == 2
    (line,) = refused.errors
    assert f"cpu_capability {here}, here AVX1024" in line
    assert command(world, toy, "--resume", "--other-machine").code == 0
    assert {one["cpu_capability"] for one in manifest_of(world / "out").machines} == {here, "AVX1024"}
    assert run_cli("validate", str(world / "out"), "--workers=0").code == 0


def test_the_flag_belongs_to_resume(world: Path, toy: Path) -> None:
    ended = command(world, toy, "--other-machine")
    assert ended.code == 2
    assert "give --resume too" in ended.errors[0]
    assert not (world / "out").exists()
