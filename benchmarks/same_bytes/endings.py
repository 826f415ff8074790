"""How the command lines of the tests of bad input end in each tree: exit code and error line."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.same_bytes.trees import HERE, Tree

PLUGIN = "same_bytes_recorder"
#: Pieces of the paths of the tests whose command lines are compared; of 0.1.0 the second and third.
FILES = (
    *("bad_input", "pipelines/captions/", "test_build_mixed_star.py", "recipes/", "test_rethreshold.py", "test_cli.py"),
)

# What a test calls the folder of its files counts up, and its processes have numbers.
_TEMPORARY = re.compile(rf"{re.escape(tempfile.gettempdir())}/\w+")
_PROCESS = re.compile(r"\.tmp-\w+")
_HASH = re.compile(r"\b[0-9a-f]{12}\b")  # the beginning of a configuration's
_INDEX = re.compile(r"\S+\.idx: ")  # a file that only the tree after writes
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)

Ending = tuple[Any, tuple[str, ...]]  # exit code and error lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Of (test with its parameters, arguments) the different endings in their order, one list for each test of the
    name; and what became of the tests."""

    by_call: dict[tuple[str, str], list[list[Ending]]]
    outcomes: dict[str, list[str]]
    broken: list[str]
    calls: int


@dataclass(slots=True)
class Compared:
    """What was the same, what differs, and what only one tree has."""

    calls: int = 0
    tests: int = 0
    differences: list[str] = field(default_factory=list)
    only: dict[str, list[str]] = field(default_factory=dict)


def test_functions(tree: Tree) -> set[str]:
    """Names of the tests in the files whose command lines are compared."""
    files = [path for path in tree.folder.glob("tests/pipelines/**/*.py") if any(one in str(path) for one in FILES)]
    return {name for path in files for name in _TEST.findall(path.read_text())}


def run_tests(tree: Tree, scratch: Path, functions: Sequence[str]) -> Endings:
    """Runs these tests of one tree, wherever they are."""
    scratch.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("recorder.py"), scratch / f"{PLUGIN}.py")
    notes, base = scratch / "notes.json", scratch / "files"
    variables = {
        "CI": "1",  # hypothesis draws the same examples
        "SAME_BYTES_TESTS": " ".join(functions),
        "SAME_BYTES_NOTES": str(notes),
        "XDETR_FIXTURES": os.environ.get("XDETR_FIXTURES", str(HERE.parent / "shared" / "fixtures")),
    }
    options = ["-q", "-p", PLUGIN, "-p", "no:cacheprovider", "--continue-on-collection-errors", f"--basetemp={base}"]
    ran = tree.python(["-m", "pytest", *options, "tests/pipelines"], variables, str(scratch))
    (scratch / "output.txt").write_text(ran.stdout + ran.stderr)
    if not notes.exists():
        raise SystemExit(f"error: the tests of {tree.folder} did not run; see {scratch / 'output.txt'}")
    return _endings(json.loads(notes.read_text()), tree, base)


def _endings(notes: Mapping[str, Any], tree: Tree, base: Path) -> Endings:
    def plain(text: str) -> str:
        text = re.sub(rf"{re.escape(str(base))}/[^/\s:'\"]+", "FILES", text).replace(str(tree.folder), "TREE")
        return _HASH.sub("HASH", _PROCESS.sub(".tmp", _TEMPORARY.sub("FILES", text)))

    by_node: dict[tuple[str, str, str], list[Ending]] = defaultdict(list)
    for call in notes["calls"]:
        ending = call["code"], tuple(map(plain, call["errors"]))
        endings = by_node[call["test"], plain(" ".join(call["arguments"])), call["node"]]
        if ending not in endings and not any(
            map(_INDEX.search, ending[1])
        ):  # a disk that fills up at the next write ends a command as at this one
            endings.append(ending)
    by_call: dict[tuple[str, str], list[list[Ending]]] = defaultdict(list)
    for (test, arguments, _), endings in by_node.items():
        by_call[test, arguments].append(endings)
    outcomes: dict[str, list[str]] = defaultdict(list)
    for node, outcome in notes["outcomes"].items():
        outcomes[node.split("::", 1)[1]].append(outcome)
    return Endings(
        by_call={call: sorted(endings, key=repr) for call, endings in by_call.items()},
        outcomes={test: sorted(each) for test, each in outcomes.items()},
        broken=notes["broken"],
        calls=len(notes["calls"]),
    )


def compare_endings(before: Endings, after: Endings) -> Compared:
    """Compares what both trees have."""
    result = Compared(calls=after.calls, tests=sum(map(len, after.outcomes.values())))
    for name, one in (("before", before), ("after", after)):
        result.differences += [f"{name}: {path} does not load" for path in one.broken]
    for test in before.outcomes.keys() & after.outcomes.keys():
        was, now = before.outcomes[test], after.outcomes[test]
        if Counter(was) - Counter(now):  # another test of that name may have come
            result.differences.append(f"{test}: {', '.join(was)} before, {', '.join(now)} after")
    for call in before.by_call.keys() & after.by_call.keys():
        if any(endings not in after.by_call[call] for endings in before.by_call[call]):
            result.differences.append(_difference(call, before.by_call[call], after.by_call[call]))
    result.differences.sort()
    result.only = {
        "tests before": sorted(before.outcomes.keys() - after.outcomes.keys()),
        "tests after": sorted(after.outcomes.keys() - before.outcomes.keys()),
        "command lines before": _only(before, after),
        "command lines after": _only(after, before),
    }
    return result


def _difference(call: tuple[str, str], was: Sequence[list[Ending]], now: Sequence[list[Ending]]) -> str:
    test, arguments = call
    shown = [f"    {when} {code} {' | '.join(errors)}" for when, each in (("before", was), ("after ", now))
             for endings in each for code, errors in endings]  # fmt: skip
    return "\n".join([f"{test}: xdetr-data {arguments}", *shown])


def _only(one: Endings, other: Endings) -> list[str]:
    """Command lines that only one tree runs, of tests that both have."""
    return sorted(
        f"{test}: xdetr-data {arguments}"
        for test, arguments in one.by_call.keys() - other.by_call.keys()
        if test in other.outcomes
    )
