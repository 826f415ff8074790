"""Twenty steps give the committed losses, gradients and rates."""

import json

import pytest

from tests.model.train.golden import GOLDEN, STEPS, curve

# double precision leaves 1e-9 between CPUs; the initial values, which are drawn in single precision, some 1e-7
TOLERANCE = 1e-4


def test_twenty_steps_follow_the_golden_curve() -> None:
    expected = json.loads(GOLDEN.read_text())
    found = curve()
    assert len(found) == len(expected) == STEPS
    for step, (have, want) in enumerate(zip(found, expected, strict=True)):
        assert have == pytest.approx(want, rel=TOLERANCE, abs=1e-9), f"step {step}: see tests/model/train/golden.py"
    assert found[-1]["full/total"] < found[0]["full/total"]
