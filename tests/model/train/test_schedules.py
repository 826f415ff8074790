"""Rates over the run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_model.errors import ModelConfigError
from xdetr_model.train.schedules import CoolDown, LinearDecay, Schedule, StepDrop


def curve(schedule: Schedule, total: int = 100, per_epoch: int = 10) -> list[float]:
    return [schedule.factor(step, total, per_epoch) for step in range(total)]


def test_the_drop_comes_with_the_first_step_after_the_epoch() -> None:
    factors = curve(StepDrop(after_epoch=8))
    assert factors[:80] == [1.0] * 80
    assert factors[80:] == [0.1] * 20


def test_a_drop_may_warm_up() -> None:
    assert curve(StepDrop(after_epoch=1, gamma=0.5, warmup_steps=4))[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_linear_decay_warms_up_over_its_share_and_ends_at_nothing() -> None:
    factors = curve(LinearDecay(warmup_share=0.1))
    assert factors[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(1 / 90)
    assert LinearDecay().factor(100, 100, 10) == 0.0


def test_cool_down_is_flat_and_then_a_line_or_half_a_cosine() -> None:
    line = curve(CoolDown(warmup_share=0.05, cooldown_share=0.2))
    assert line[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert line[5:81] == [1.0] * 76
    assert line[90] == pytest.approx(0.5)
    cosine = curve(CoolDown(warmup_share=0.05, cooldown_share=0.2, shape="cosine"))
    assert cosine[85] == pytest.approx(0.8535534)
    assert CoolDown(floor=0.01).factor(100, 100, 10) == 0.01


SCHEDULES = st.one_of(
    st.builds(StepDrop, after_epoch=st.integers(0, 20), gamma=st.floats(0, 1), warmup_steps=st.integers(0, 50)),
    st.builds(LinearDecay, warmup_share=st.floats(0, 1)),
    st.builds(
        CoolDown, warmup_share=st.floats(0, 0.5), cooldown_share=st.floats(0, 0.5),
        shape=st.sampled_from(["linear", "cosine"]), floor=st.floats(0, 1),
    ),
)  # fmt: skip


@given(SCHEDULES, st.integers(1, 5000), st.integers(1, 500), st.integers(0, 6000))
def test_every_factor_is_between_nothing_and_one(schedule: Schedule, total: int, per_epoch: int, step: int) -> None:
    assert 0 <= schedule.factor(step, total, per_epoch) <= 1


@pytest.mark.parametrize("values", [{"warmup_share": 1.5}, {"warmup_share": 0.6, "cooldown_share": 0.6}])
def test_shares_must_fit_into_the_run(values: dict[str, float]) -> None:
    with pytest.raises(ModelConfigError, match="must be shares of the run"):
        CoolDown(**values)  # type: ignore[arg-type]


def test_an_unknown_shape_is_said() -> None:
    with pytest.raises(ModelConfigError, match="shape='step' is unknown: use linear or cosine"):
        CoolDown(shape="step")  # type: ignore[arg-type]
