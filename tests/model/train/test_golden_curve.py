"""Twenty steps give the committed losses, gradients and rates."""

import json

import pytest

from tests.model.train.golden import GOLDEN, STEPS, curve

TOLERANCE = 1e-5  # see golden.py


def test_twenty_steps_follow_the_golden_curve() -> None:
    expected = json.loads(GOLDEN.read_text())
    found = curve()
    assert len(found) == len(expected) == STEPS
    for step, (have, want) in enumerate(zip(found, expected, strict=True)):
        assert have == pytest.approx(want, rel=TOLERANCE, abs=1e-9), f"step {step}: was this meant? see golden.py"
    assert found[-1]["full/total"] < found[0]["full/total"]
