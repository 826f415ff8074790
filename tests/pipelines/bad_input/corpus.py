"""What a kind of bad input is, and what must become of it: one line and an exit code, or named rejects that add up."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.pipelines.tiny import (
    World,
    manifest_of,
    named_annotations,
    records_of,
    reject_counts,
    rejects_of,
    run_cli,
    usual_args,
)
from xdetr_data.record import GroundedImage

Rejects = dict[tuple[str, str], int]

# Of what a policy left out, the manifest tells how many; of what was wrong, a row tells which.
_COUNTED_ONLY = {"photo-not-in-set", "excluded", "beyond-limit"}
_POLICY = {"excluded", "beyond-limit"}
_ELEMENT = re.compile(r"\w+#(images|annotations)\[\d+\]")


def unchanged(world: World) -> None:
    """Leaves the world as it is."""


def no_more(folder: Path) -> None:
    """Leaves the files as they are."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of bad input.

    Attributes:
        id: the kind, in a few words.
        change: what is wrong in the inputs; ``afterwards``: what is wrong with the files or the folder.
        rejects: (unit, reason) → count of all that must be rejected, where the run ends well.
        error: a pattern of the one line with which the command must end instead.
        code: the exit code of the error.
        args: flags beside the usual ones.
        spares_photo_2: whether the second photo's record must be as if nothing were wrong.
    """

    id: str
    change: Callable[[World], None] = unchanged
    afterwards: Callable[[Path], None] = no_more
    rejects: Rejects = field(default_factory=dict)
    error: str | None = None
    code: int = 1
    args: tuple[str, ...] = ()
    spares_photo_2: bool = True


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Parametrises a test with cases."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


def check(case: Case, folder: Path) -> None:
    """Runs the command on the case's inputs and checks all that must hold."""
    world = World()
    case.change(world)
    world.write(folder)
    case.afterwards(folder)
    ended = run_cli(*usual_args(folder), *(arg.replace("FOLDER", str(folder)) for arg in case.args))
    assert "Traceback" not in ended.stderr
    assert not list(folder.glob("out/**/*.tmp-*"))
    if case.error is not None:
        assert ended.code == case.code
        assert len(ended.errors) == 1, ended.stderr
        assert ended.stderr.splitlines()[-1] == ended.errors[0]
        assert re.search(case.error, ended.errors[0]), ended.errors[0]
        assert not (folder / "out" / "manifest.json").exists()
        return
    assert ended.errors == []
    lost_photos = sum(n for (unit, reason), n in case.rejects.items() if unit == "photo" and reason not in _POLICY)
    assert ended.code == (3 if lost_photos else 0), ended.stderr
    assert reject_counts(folder / "out") == case.rejects
    _check_accounts(world, folder / "out")
    if case.spares_photo_2:
        assert clean_records()[1] in records_of(folder / "out")


def _check_accounts(world: World, out: Path) -> None:
    """Every element of the inputs is in the output or rejected, and every reject is a row that says where it stood."""
    units = manifest_of(out).accounting["units"]
    rejected: Counter[str] = Counter()
    for (unit, _), count in reject_counts(out).items():
        rejected[unit] += count
    for unit, flows in units.items():
        assert flows["in"] == flows["out"] + rejected[unit], unit
    if world.mdetr is None and world.coco is None:
        assert {unit: flows["in"] for unit, flows in units.items() if unit != "photo" and flows["in"]} == {
            unit: count for unit, count in world.counts.items() if count
        }
    rows = rejects_of(out)
    counted = {key: count for key, count in reject_counts(out).items() if key[1] not in _COUNTED_ONLY}
    assert Counter((row.unit, row.reason) for row in rows if row.reason not in _COUNTED_ONLY) == counted
    places = [row.input_ref for row in rows if row.unit != "photo"]
    assert all(_ELEMENT.fullmatch(place) for place in places), places
    assert len(set(places)) == len(places)
    records = records_of(out)
    assert len(list(named_annotations(records))) == units["annotation"]["out"]
    assert len(records) == units["photo"]["out"]


@cache
def clean_records() -> list[GroundedImage]:
    """What the world makes when nothing is wrong."""
    folder = Path(mkdtemp())
    World().write(folder)
    ended = run_cli(*usual_args(folder))
    assert ended.code == 0, ended.stderr
    records = records_of(folder / "out")
    shutil.rmtree(folder)
    return records
