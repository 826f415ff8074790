"""``python -m tests.faults``: damages every kind of input, and prints what the commands made of it."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.inputs import AS_BEFORE, BAD, ONE_LINE, REJECTED, fuzz, make_kinds


def main() -> int:
    """Exit code 1 where a mutant ended badly."""
    made = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    made.add_argument("--mutants", type=int, default=1000)
    made.add_argument("--seed", type=int, default=0)
    given = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = make_kinds(Path(folder))
        counts, bad = fuzz(Path(folder), kinds, given.mutants, given.seed)
    columns = (ONE_LINE, REJECTED, AS_BEFORE, *BAD)
    print(f"| kinds | tried | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 2) + "|")
    print(f"| {len(kinds)} | {counts.total()} | {' | '.join(str(counts[name]) for name in columns)} |")
    print("\n".join(bad))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
