"""The two trees: a folder as it stands, or a revision checked out for as long as it is needed."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
_LOADED = (
    "import pipelines, xdetr_data, xdetr_model; print(pipelines.__file__, xdetr_data.__file__, xdetr_model.__file__)"
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout of this project; ``name`` is before or after."""

    name: str
    folder: Path

    def python(self, arguments: Sequence[str], more: Mapping[str, str] | None = None, path: str = "") -> Ran:
        """Runs python in this tree, with its modules; ``path`` is a folder of further ones, ``more`` the variables."""
        paths = os.pathsep.join(filter(None, [str(self.folder), path]))
        environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"} | dict(more or {})
        ended = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def command(self, arguments: Sequence[str]) -> Ran:
        """Runs ``xdetr-data`` of this tree."""
        return self.python(["-m", "pipelines.cli", *arguments])

    def check(self) -> None:
        """Raises SystemExit where python in this tree would load another one's modules."""
        ran = self.python(["-c", _LOADED])
        strangers = [one for one in ran.stdout.split() if not Path(one).resolve().is_relative_to(self.folder)]
        if ran.code or strangers:
            said = (ran.stderr.splitlines() or ["python failed"])[-1]
            raise SystemExit(f"error: {self.folder}: {f'loads {strangers[0]}' if strangers else said}")


@contextmanager
def checked_out(name: str, where: str, scratch: Path) -> Iterator[Tree]:
    """The tree of a folder, or of a revision as a git worktree below ``scratch`` that is removed afterwards."""
    if Path(where).is_dir():
        tree = Tree(name, Path(where).resolve())
        tree.check()
        yield tree
        return
    folder = scratch / name
    git = ["git", "-C", str(HERE), "worktree"]
    added = subprocess.run([*git, "add", "--detach", str(folder), where], capture_output=True, text=True)
    if added.returncode:
        raise SystemExit(f"error: {where}: no folder and no git revision ({added.stderr.strip().splitlines()[-1]})")
    try:
        tree = Tree(name, folder.resolve())
        tree.check()
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True, capture_output=True)
