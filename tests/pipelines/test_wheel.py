"""A stranger's wheel, outside the checkout: it brings run files, checkpoint, templates and texts along."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, in a folder of their own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files beside what it builds
    kept = ("xdetr_data", "xdetr_model", "pipelines", "manifests")
    for name in kept:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of the wheel, away from the checkout."""
    code = (
        f"import sys; from {module} import main; import pipelines; "
        f"assert pipelines.__file__.startswith({str(installed)!r}), pipelines.__file__; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=installed.parent, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_strangers_wheel_runs_the_demo_and_trains(installed: Path) -> None:
    world = installed.parent / "demo"
    demo = run(installed, "pipelines.cli", "demo", f"--keep={world}", "--photos=120", "--workers=2")
    assert demo.returncode == 0, demo.stderr
    assert "pseudo-labels against the truth" in demo.stderr
    steps = ("--set=schedule.length=2", "--set=schedule.unit=steps")
    trained = run(
        installed, "pipelines.train.command", "--run=toy", f"--full={world}/mixed-star", *steps,
        f"--out={installed.parent}/run",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert (installed.parent / "run" / "model" / "model.safetensors").is_file()
    listed = run(installed, "pipelines.train.command", "--list-runs")
    assert "toy" in listed.stdout
