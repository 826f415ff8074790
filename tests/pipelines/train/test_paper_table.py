"""The table of the supplement names tests that there are."""

import re

from tests.pipelines.train.tiny_run import ROOT

NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_test_that_the_table_names_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "training.md").read_text())
    assert len(named) > 20
    missing = [one for one in named if f"def {one[1]}(" not in (ROOT / "tests" / one[0]).read_text()]
    assert missing == []
