"""Whether two trees of this project write the same bytes and end with the same errors.

    python -m benchmarks.same_bytes --before f6b34c7 --dir out/same

Draws a toy world with the tree ``--before`` (a folder or a git revision), builds everything that is built from it with
both trees, and compares every file: tars, Parquet and rejects byte for byte, manifests and statistics but for version,
configuration and seconds; and what the commands print on stdout, their exit codes and error lines. Then it runs the
tests of bad input in both trees and compares how each of their command lines ended. Exit code 1 where anything differs.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from benchmarks.same_bytes.builds import BUILDS, Build, write_packed
from benchmarks.same_bytes.compare import Difference, compare_folders, reasons, without_new
from benchmarks.same_bytes.damage import damage_world
from benchmarks.same_bytes.endings import compare_endings, run_tests, test_functions
from benchmarks.same_bytes.trees import HERE, Ran, Tree, checked_out

Result = TypeVar("Result")
_SAID = ("error:", "warning:")


def draw(tree: Tree, work: Path, photos: int) -> dict[str, str]:
    """Writes the inputs of all builds; returns where they are."""
    places = {name: str(work / name) for name in ("world", "packed", "damaged")}
    places |= {"before": str(work / "before"), "ckpt": str(tree.folder / "manifests/checkpoints/xdetr-toy")}
    ran = tree.command(["toyworld", f"--photos={photos}", "--workers=2", f"--out={places['world']}"])
    if ran.code:
        raise SystemExit(f"error: no toy world: {ran.stderr.strip()}")
    write_packed(Path(places["world"]), Path(places["packed"]))
    damage_world(Path(places["world"]), Path(places["damaged"]))
    return places


def at_once(call: Callable[[Tree], Result], trees: Sequence[Tree]) -> list[Result]:
    """Calls for both trees at the same time."""
    with ThreadPoolExecutor(len(trees)) as threads:
        return list(threads.map(call, trees))


def compare_build(build: Build, trees: Sequence[Tree], work: Path, places: dict[str, str]) -> Difference:
    """Runs one command line with both trees and compares everything."""

    def run(tree: Tree) -> Ran:
        own = work / tree.name
        return tree.command(build.command(places | {"own": str(own)}, own / build.name))

    was, now = at_once(run, trees)
    outs = [work / tree.name / build.name for tree in trees]
    result = compare_folders(*outs)
    if was.code != build.code:
        result.lines.append(f"exit code {was.code} before, where {build.code} was meant: {was.stderr[-500:]}")
    if was.code != now.code:
        result.lines.append(f"exit code {was.code} before, {now.code} after: {now.stderr[-500:]}")
    if not _tells(plain(now.stdout, work, trees[1]), plain(was.stdout, work, trees[0])):
        result.lines.append(f"prints {was.stdout[:1000]} before, {now.stdout[:1000]} after")
    before, after = (said(ran, work, tree) for ran, tree in zip((was, now), trees, strict=True))
    if not set(before) <= set(after):  # what is told of inputs since is no difference
        result.lines.append(f"says {before} before, {after} after")
    return result


def _tells(now: str, was: str) -> bool:
    """Whether the same is printed, or JSON with the same and further keys."""
    if not (was.startswith("{") and now.startswith("{")):
        return was == now
    old, new = json.loads(was), json.loads(now)
    return without_new({key: new.get(key) for key in old}) == without_new(old)


def plain(text: str, work: Path, tree: Tree) -> str:
    """Without the names of the folders, and without the configuration's hash."""
    for name in ("before", "after"):
        text = text.replace(f"{work / name}/", "OWN/")
    text = text.replace(str(work), "WORK").replace(str(tree.folder), "TREE")
    return re.sub(r'"config_hash": "\w+"', '"config_hash": ""', text)


def said(ran: Ran, work: Path, tree: Tree) -> list[str]:
    """Errors and warnings."""
    return [plain(line, work, tree) for line in ran.stderr.splitlines() if line.startswith(_SAID)]


def compare_builds(trees: Sequence[Tree], work: Path, photos: int, only: str) -> int:
    """Prints a line for each build; returns how many differences there are."""
    places = draw(trees[0], work, photos)
    found = 0
    seen: set[str] = set()
    for build in BUILDS:
        if not re.search(only, build.name):
            continue
        begin = time.monotonic()
        result = compare_build(build, trees, work, places)
        seconds = time.monotonic() - begin
        verdict = f"{len(result.lines)} DIFFERENCES" if result.lines else "the same"
        print(
            f"{build.name}: {result.files} files, {result.size_bytes:,} bytes, {seconds:.1f} s: {verdict}", flush=True
        )
        for line in result.lines:
            print(f"  {line}", flush=True)
        found += len(result.lines)
        seen |= reasons(work / trees[0].name / build.name)
    print(f"{len(seen)} reasons of rejects occurred: {', '.join(sorted(seen))}")
    return found


def compare_bad_input(trees: Sequence[Tree], work: Path) -> int:
    """Prints what the tests' command lines gave; returns how many differences there are."""
    functions = sorted({name for tree in trees for name in test_functions(tree)})
    before, after = at_once(lambda tree: run_tests(tree, work / f"tests-{tree.name}", functions), trees)
    result = compare_endings(before, after)
    print(f"bad input: {result.tests} tests, {result.calls} command lines: {len(result.differences)} differences")
    for line in result.differences:
        print(f"  {line}")
    for what, each in result.only.items():
        if each:
            print(f"  only {what}: {len(each)}")
            for line in each:
                print(f"    {line}")
    return len(result.differences)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a folder or a git revision")
    parser.add_argument("--after", default=str(HERE), help="a folder or a git revision; this checkout")
    parser.add_argument("--dir", type=Path, required=True, help="a new folder for inputs and outputs")
    parser.add_argument("--photos", type=int, default=200, help="of the toy world")
    parser.add_argument("--only", default="", help="of the builds those whose name has this pattern")
    parser.add_argument("--bad-input", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    work = options.dir.resolve()
    if work.exists() and any(work.iterdir()):
        parser.error(f"--dir {options.dir} holds something; give a new folder")
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        named = {"before": options.before, "after": options.after}
        trees = [stack.enter_context(checked_out(name, where, work / "trees")) for name, where in named.items()]
        found = compare_builds(trees, work, options.photos, options.only)
        if options.bad_input:
            found += compare_bad_input(trees, work)
    print(f"{found} differences" if found else "no difference")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
