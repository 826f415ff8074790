"""Options that contradict each other, are unknown or no numbers: one line, exit code 2, and nothing is written."""

import re
from pathlib import Path

import pytest

from tests.pipelines.bad_input.corpus import Case, each
from tests.pipelines.tiny import COCO, MDETR, World, files_of, run_cli, usual_args


def usage(kind: str, *args: str, says: str) -> Case:
    return Case(id=f"option-{kind}", args=args, error=says, code=2)


FLAGS = [
    usage("unknown", "--no-such-flag", says="No such option: --no-such-flag"),
    usage("misspelt", "--dedup-iou=1", says="--dedupe-iou"),
    usage("without-its-value", "--seed", says="--seed.*requires an argument"),
    usage("surplus-argument", "surplus", says="unexpected extra argument.*surplus"),
    usage("flag-with-value", "--no-split=yes", says="--no-split.*does not take a value"),
    usage("seed-text", "--seed=one", says="--seed.*valid integer"),
    usage("seed-half", "--seed=1.5", says="--seed.*valid integer"),
    usage("seed-negative", "--seed=-1", says="--seed -1 must be between"),
    usage("seed-huge", f"--seed={2**63}", says="--seed .* must be between"),
    usage("limit-text", "--limit=all", says="--limit.*valid integer"),
    usage("limit-zero", "--limit=0", says="--limit 0 must be at least 1"),
    usage("limit-negative", "--limit=-3", says="--limit -3 must be at least 1"),
    usage("workers-text", "--workers=many", says="--workers.*valid integer"),
    usage("workers-negative", "--workers=-2", says="--workers -2 must be 0 .* or more"),
    usage("dedupe-iou-text", "--dedupe-iou=half", says="--dedupe-iou.*valid number"),
    *(
        usage(f"dedupe-iou-{value}", f"--dedupe-iou={value}", says=f"--dedupe-iou {value} must be above 0")
        for value in ("0.0", "-0.5", "1.5", "nan", "inf")
    ),
    usage("merge-iou-without-source", "--merge-iou=0.5", says="--merge-iou '0.5' must be written as NAME=VALUE"),
    usage("merge-iou-without-value", "--merge-iou=vg=", says="must be written as NAME=VALUE"),
    usage("merge-iou-text", "--merge-iou=vg=half", says="--merge-iou: 'half' is no number"),
    usage("merge-iou-twice", "--merge-iou=vg=0.5", "--merge-iou=vg=0.6", says="--merge-iou gives 'vg' twice"),
    usage("merge-iou-above-one", "--merge-iou=vg=2", says="--merge-iou 2.0 must be above 0 and at most 1"),
    usage("merge-iou-nan", "--merge-iou=vg=nan", says="--merge-iou nan must be above 0"),
    usage("boxes-unknown", "--boxes=lvis", says="--boxes.*'lvis' is not one of 'coco', 'none'"),
    usage("crowd-unknown", "--crowd=maybe", says="--crowd.*maybe"),
    usage("image-root-without-source", "--image-root=DIR", says="--image-root 'DIR' must be written as NAME=VALUE"),
    *(
        usage(f"shard-bytes-{kind}", f"--shard-bytes={value}", says=f"'{value}' is no size")
        for kind, value in {"text": "big", "unit-unknown": "5XB", "negative": "-5MB", "two-numbers": "1 2"}.items()
    ),
    usage("shard-bytes-empty", "--shard-bytes=", says="no size"),
    usage("shard-bytes-zero", "--shard-bytes=0", says="--shard-bytes 0 must be positive"),
    *(
        usage(
            f"max-error-rate-{value}",
            f"--max-error-rate={value}",
            says="--max-error-rate.*(between 0 and 1|valid number)",
        )
        for value in ("half", "-0.1", "1.1", "nan")
    ),
    *(
        usage(f"split-{kind}", f"--split={value}", says="--split .* must be a plain word")
        for kind, value in {
            **{"empty": "", "folder": "../train", "dot": "a.b", "space": "a b", "dash": "a-b"},
            "no-file-name": "a" * 65,
        }.items()
    ),
    usage("resume-and-overwrite", "--resume", "--overwrite", says="--resume and --overwrite contradict each other"),
    usage("the-same-input-twice", f"--mdetr=FOLDER/{MDETR}", says="2 inputs are called 'final_mixed_train'"),
    usage("two-inputs-of-one-name", f"--coco-instances=FOLDER/x/{COCO}.gz", says="2 inputs are called 'instances_t"),
    usage("an-input-as-both", f"--mdetr=FOLDER/{COCO}", says="2 inputs are called 'instances_train2014'"),
]


@each(FLAGS)
def test_a_bad_option_is_one_line_and_writes_nothing(case: Case, tmp_path: Path) -> None:
    World().write(tmp_path)
    before = files_of(tmp_path)
    ended = run_cli(*usual_args(tmp_path), *(arg.replace("FOLDER", str(tmp_path)) for arg in case.args))
    assert ended.code == case.code, ended.stderr
    assert [re.search(str(case.error), line) is not None for line in ended.errors] == [True], ended.stderr
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    ("dropped", "more", "says"),
    [
        ("--mdetr", (), "give at least one --mdetr FILE"),
        ("--coco-instances", (), "--boxes coco needs --coco-instances FILE"),
        ("--image-root", (), "give --image-root SOURCE=DIR .* or --metadata-only"),
        ("--out", (), "give --out DIR"),
        ("--out", ("--out=",), "give --out DIR"),
    ],
    ids=["no-mdetr", "no-coco-instances", "no-image-root", "no-out", "empty-out"],
)
def test_a_missing_option_is_one_line(dropped: str, more: tuple[str, ...], says: str, tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli(*[arg for arg in usual_args(tmp_path) if not arg.startswith(dropped)], *more)
    assert ended.code == 2
    (line,) = ended.errors
    assert re.search(says, line), line


CONFIGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must hold 'flag: value' lines"),
    "a-list": (b"- seed\n", "must hold 'flag: value' lines"),
    "a-text": (b"seed", "must hold 'flag: value' lines"),
    "no-yaml": (b"seed: [1\nboxes: }", "cannot be read"),
    "binary": (bytes(range(256)), "cannot be read"),
    "tabs": (b"seed:\n\t- 1", "cannot be read"),
    "code": (b"seed: !!python/object/apply:os.system ['true']", "cannot be read"),
    "unknown-key": (b"seeds: 1\n", "unknown key 'seeds'; known: .*seed"),
    "number-as-key": (b"1: 1\n", "unknown key '1'"),
    "key-of-another-command": (b"checkpoint: x\n", "unknown key 'checkpoint'"),
    "itself": (b"config: x.yaml\n", "unknown key 'config'"),
    "seed-text": (b"seed: one\n", "seed.*valid integer"),
    "seed-list": (b"seed: [1, 2]\n", "seed"),
    "seed-mapping": (b"seed: {a: 1}\n", "seed"),
    "limit-date": (b"limit: 2020-01-01\n", "limit"),
    "boxes-unknown": (b"boxes: lvis\n", "boxes.*lvis"),
    "boxes-bool": (b"boxes: yes\n", "boxes"),
    "limit-bool": (b"limit: yes\n", "limit: YAML reads it as true; put text in quotes"),
    "split-bool": (b"split: off\n", "split: YAML reads it as false; put text in quotes"),
    "a-key-twice": (b"merge-iou: {vg: 1}\nmerge_iou: {vg: 0.5}\n", "a key stands twice"),
    "dedupe-iou-text": (b"dedupe-iou: half\n", "dedupe-iou.*valid number"),
    "no-split-text": (b"no-split: perhaps\n", "no-split"),
    "merge-iou-number": (b"merge-iou: 0.5\n", "merge-iou"),
    "merge-iou-nested": (b"merge-iou: {vg: [1]}\n", "merge-iou"),
    "exclude-number": (b"exclude: 5\n", "5: there is no such file"),
    "exclude-of-mappings": (b"exclude: [{a: b}]\n", "exclude|no such file"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bad_config_file_is_one_line(kind: str, tmp_path: Path) -> None:
    World().write(tmp_path)
    content, says = CONFIGS[kind]
    (tmp_path / "run.yaml").write_bytes(content)
    ended = run_cli(*usual_args(tmp_path), f"--config={tmp_path / 'run.yaml'}")
    assert ended.code in (1, 2), ended.stderr
    (line,) = ended.errors
    assert re.search(says, line), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["none.yaml", "photos"])
def test_a_config_file_that_is_none_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli(*usual_args(tmp_path), f"--config={tmp_path / name}")
    assert ended.code == 2
    (line,) = ended.errors
    assert name in line


def test_debug_shows_the_traceback_and_the_one_line(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / MDETR).unlink()
    ended = run_cli(*usual_args(tmp_path), "--debug")
    assert ended.code == 1
    assert "Traceback" in ended.stderr
    assert len(ended.errors) == 1
