"""The command line: its flags, exit codes, what goes to stdout, and how fast it answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pipelines.cli import app
from pipelines.cli import main as cli_main
from tests.pipelines.tiny import (
    COCO,
    MDETR,
    Ended,
    World,
    files_of,
    manifest_of,
    records_of,
    reject_counts,
    run_cli,
    run_here,
    usual_args,
)

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("cli_flags.txt")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    return tmp_path


def build(folder: Path, *more: str) -> Ended:
    return run_cli(*usual_args(folder), *more)


def flags() -> list[str]:
    """A line for each flag and argument of each command, with its default where it is a plain value."""
    lines = []
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore[attr-defined]
        for parameter in command.params:
            opts = "/".join([*parameter.opts, *parameter.secondary_opts])
            repeats = " repeatable" if getattr(parameter, "multiple", False) else ""
            lines.append(f"{name} {opts}{repeats}")
        subcommands = getattr(command, "commands", {})
        for inner, subcommand in sorted(subcommands.items()):
            for parameter in subcommand.params:
                opts = "/".join([*parameter.opts, *parameter.secondary_opts])
                lines.append(f"{name} {inner} {opts}")
    return lines


def test_no_flag_comes_or_goes_by_accident() -> None:
    assert "\n".join(flags()) == GOLDEN.read_text().rstrip("\n"), f"if this is meant, change {GOLDEN.name} with it"


SLOW_TO_IMPORT = {"torch", "transformers", "ray", "spacy", "pandas", "scipy", "matplotlib", "fiftyone", "webdataset"}


@pytest.mark.parametrize("args", [[], *([name] for name in COMMANDS)], ids=lambda args: " ".join(args) or "xdetr-data")
def test_help_imports_nothing_that_takes_long(args: list[str]) -> None:
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main()\nfinally:\n    sys.stderr.write(' '.join(sys.modules))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *args, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert "Usage: " in ended.stdout
    assert not SLOW_TO_IMPORT & set(ended.stderr.split())


def test_help_tells_every_flag_of_the_main_job() -> None:
    text = run_cli("build-mixed-star", "--help").stdout
    for flag in ("--mdetr", "--coco-instances", "--image-root", "--no-split", "--boxes", "--dedupe-iou", "--exclude"):
        assert flag in text
    assert "xdetr-data build-mixed-star --mdetr final_mixed_train.json" in " ".join(text.split())


def test_without_arguments_help_is_shown() -> None:
    assert run_cli().stdout == run_cli("--help").stdout


def test_a_group_without_a_command_shows_its_help_and_no_empty_error() -> None:
    ended = run_cli("build")
    assert ended.code == 2
    assert ended.errors == []
    assert "visual-genome" in ended.stdout


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert run_cli("--version").stdout == f"{version('xdetr-data')}\n"


def test_done_is_0_failed_is_1_usage_is_2(world: Path) -> None:
    assert build(world).code == 0
    assert build(world).code == 1
    assert build(world, "--no-such-flag").code == 2
    assert run_cli("no-such-command").code == 2


def test_too_many_lost_photos_is_3_with_the_dataset_complete(world: Path) -> None:
    next((world / "photos").iterdir()).write_bytes(b"")
    ended = build(world)
    assert ended.code == 3
    assert "50.0% of the photos were lost to errors, over --max-error-rate 0.1" in ended.stderr
    assert manifest_of(world / "out").rows == 1
    assert build(world, "--overwrite", "--max-error-rate=0.5").code == 0


def test_photos_that_were_excluded_or_beyond_the_limit_are_no_errors(world: Path) -> None:
    (world / "ids.txt").write_text("1\n")
    assert build(world, f"--exclude={world / 'ids.txt'}", "--max-error-rate=0").code == 0
    assert build(world, "--limit=1", "--max-error-rate=0", "--overwrite").code == 0


def test_an_interrupt_is_130_in_one_line_and_the_run_can_go_on(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.engine.run.build_shard", interrupted)
        ended = build(world)
    assert ended.code == 130
    assert ended.errors == ["error: interrupted; what is finished stays: go on with --resume"]
    assert not list((world / "out").rglob("*.tmp-*"))
    assert build(world, "--resume").code == 0


def test_stdout_is_for_machines_only(world: Path) -> None:
    assert build(world).stdout == ""
    ended = build(world, "--resume", "--json")
    result = json.loads(ended.stdout)
    assert result["rows"] == 2
    assert result["shards"] == 1
    assert result["out"] == str(world / "out")
    assert result["accounting"] == manifest_of(world / "out").accounting
    assert ended.stdout.isascii()


def test_a_dry_run_tells_the_plan_and_writes_nothing(world: Path) -> None:
    before = files_of(world)
    ended = build(world, "--dry-run", "--json", "--shard-bytes=2kB")
    assert ended.code == 0
    assert files_of(world) == before
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["paragraphs_read"], plan["annotations_read"], plan["boxes_read"]) == (2, 4, 8, 4)
    assert plan["photos_by_source"] == {"coco": 2}
    assert plan["photos_missing"] == 0
    assert plan["photo_bytes"] == sum(path.stat().st_size for path in (world / "photos").iterdir())
    assert plan["shards"] > 1
    assert build(world, "--shard-bytes=2kB").code == 0
    manifest = manifest_of(world / "out")
    assert manifest.config_hash == plan["config_hash"]
    assert len(manifest.shards) == plan["shards"]


def test_a_dry_run_needs_no_out_and_says_the_plan_to_people(world: Path) -> None:
    ended = run_cli(*[arg for arg in usual_args(world) if not arg.startswith("--out")], "--dry-run")
    assert ended.code == 0
    assert "plan (nothing is written)" in ended.stderr
    assert ended.stdout == ""


def test_a_limit_takes_the_first_photos_and_accounts_for_the_others(world: Path) -> None:
    assert build(world, "--limit=1").code == 0
    assert [record.key for record in records_of(world / "out")] == ["coco_000000000001"]
    assert reject_counts(world / "out") == {
        ("photo", "beyond-limit"): 1,
        ("paragraph", "beyond-limit"): 2,
        ("annotation", "beyond-limit"): 4,
        ("box", "beyond-limit"): 2,
    }


def config_file(folder: Path, text: str) -> str:
    (folder / "run.yaml").write_text(text.replace("FOLDER", str(folder)))
    return f"--config={folder / 'run.yaml'}"


def test_a_config_file_holds_any_flag_and_makes_the_same_dataset(world: Path) -> None:
    config = config_file(
        world,
        f"""
        mdetr: [FOLDER/{MDETR}]
        coco-instances: FOLDER/{COCO}
        image_root: {{coco: FOLDER/photos}}
        out: FOLDER/by-config
        merge-iou: {{coco: 0.9, vg: 0.6}}
        no-split: true
        workers: 0
        limit: 1
        shard_bytes: 1GiB
        """,
    )
    assert run_cli("build-mixed-star", config).code == 0
    flags_of_it = ["--merge-iou=coco=0.9", "--merge-iou=vg=0.6", "--no-split", "--limit=1", "--shard-bytes=1GiB"]
    assert build(world, *flags_of_it).code == 0
    assert files_of(world / "by-config") == files_of(world / "out")


def test_flags_win_over_the_config_file(world: Path) -> None:
    config = config_file(world, "limit: 1\nsplit: val\nseed: 3\n")
    assert build(world, config, "--limit=2").code == 0
    manifest = manifest_of(world / "out")
    assert (manifest.rows, manifest.split, manifest.seed) == (2, "val", 3)


@pytest.mark.parametrize("text", ["exclude: []\n", "exclude:\n", "limit:\nseed: 0\n"])
def test_a_key_without_a_value_is_the_default(text: str, world: Path) -> None:
    assert build(world, config_file(world, text)).code == 0
    manifest = manifest_of(world / "out")
    assert manifest.exclusions == []
    assert manifest.rows == 2


def test_the_manifest_names_the_licence_of_files_that_are_known(world: Path) -> None:
    assert build(world).code == 0
    inputs = {entry.role: entry for entry in manifest_of(world / "out").inputs}
    assert inputs["mdetr"].licence
    assert inputs["coco-instances"].licence
    assert inputs["mdetr"].bytes == (world / MDETR).stat().st_size


def test_inputs_photos_and_output_may_be_at_any_address(world: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in (MDETR, COCO, *(f"photos/{path.name}" for path in (world / "photos").iterdir())):
        memory.pipe(f"/cli/{name}", (world / name).read_bytes())
    assert build(world).code == 0
    args = [arg.replace(str(world), "memory://cli") for arg in usual_args(world)]
    try:
        ended = run_cli(*args)
        assert ended.code == 0, ended.stderr
        assert run_cli(*args).code == 1
        assert run_cli(*args, "--resume").code == 0
        assert run_cli(*args, "--overwrite").code == 0
        here = files_of(world / "out")
        there = {name[len("/cli/out/") :]: memory.cat(name) for name in memory.find("/cli/out")}
        assert there.keys() == here.keys()
        assert [name for name in here if name.endswith((".tar", ".parquet")) and here[name] != there[name]] == []
    finally:
        memory.rm("/cli", recursive=True)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs a count of usable cores")
def test_workers_are_by_default_the_cores_that_may_be_used() -> None:
    from pipelines.options import default_workers

    assert default_workers() == len(os.sched_getaffinity(0))


EVERY_HELP = [
    ["xdetr-data", "build-mixed-star"],
    ["xdetr-data", "pseudo-label", "locnar"],
    ["xdetr-data", "review", "apply"],
    ["xdetr-eval", "lvis"],
    ["xdetr-search", "query"],
]


@pytest.mark.parametrize("words", EVERY_HELP, ids=" ".join)
def test_examples_of_the_help_are_unbroken_lines_that_can_be_pasted(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.evaluate.cli import main as evaluate
    from pipelines.search.cli import main as search

    monkeypatch.setenv("COLUMNS", "80")
    main = {"xdetr-data": cli_main, "xdetr-eval": evaluate, "xdetr-search": search}[words[0]]
    shown, _, examples = run_here(main, *words, "--help").stdout.partition("\nExamples:\n")
    lines = [line for line in examples.splitlines() if line]
    assert lines
    assert all(line.startswith(f"  {' '.join(words)} ") for line in lines)
    assert any(len(line) > 80 for line in lines) or words[-1] not in ("build-mixed-star", "locnar")
    assert f"{' '.join(words)} --" not in " ".join(shown.split()), "examples stand once"


def test_flags_stand_in_panels_and_needed_ones_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = run_cli("pseudo-label", "locnar", "--help").stdout
    panels = [line.strip("╭─╮ ") for line in text.splitlines() if line.startswith("╭─")]
    assert panels == [
        "Options",
        "What goes in, and where it comes out",
        "How labels are chosen (again with rethreshold, without the model)",
        "What is made of it",
        "The model",
        "The dataset",
        "How it runs",
    ]
    for flag in ("--ckpt", "--narratives"):
        line = next(line for line in text.splitlines() if f"│ {flag} " in line)
        assert "[required]" in line


def test_every_option_has_a_text() -> None:
    def walk(name: str, command: Any) -> Iterator[str]:
        for parameter in command.params:
            if parameter.name not in ("help", "install_completion", "show_completion") and not parameter.help:
                yield f"{name} {parameter.name}"
        for inner, subcommand in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {inner}", subcommand)

    from pipelines.evaluate.cli import app as evaluate
    from pipelines.search.cli import app as search

    assert [one for top in (app, evaluate, search) for one in walk("", typer.main.get_command(top))] == []


def test_a_pattern_that_the_shell_has_expanded_is_explained(world: Path) -> None:
    ended = build(world, "a.jsonl", "b.jsonl")
    assert ended.code == 2
    assert "a pattern such as '*.jsonl' needs quotes" in ended.errors[0]
