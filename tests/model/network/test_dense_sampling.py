"""The fast way of sampling small maps equals the library's sampling, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xdetr_model.network import deformable_attention
from xdetr_model.network.deformable_attention import sample_levels, sample_one_by_one
from xdetr_model.network.dense_sampling import MOST_POSITIONS, sample_dense

SIZES = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=3)


def inputs(shapes_hw: list[tuple[int, int]], queries: int, seed: int, reach: float = 0.5) -> tuple[Tensor, ...]:
    """Values, positions from ``-reach`` to ``1 + reach`` and weights, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    positions = sum(h * w for h, w in shapes_hw)
    value = torch.randn(2, positions, 3, 4, generator=generator, dtype=torch.float64)
    xy = torch.rand(2, queries, 3, len(shapes_hw), 2, 2, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, queries, 3, len(shapes_hw), 2, generator=generator, dtype=torch.float64)
    return tuple(t.requires_grad_() for t in (value, xy * (1 + 2 * reach) - reach, weights))


def gradients(way: object, shapes_hw: list[tuple[int, int]], leaves: tuple[Tensor, ...]) -> list[Tensor]:
    fresh = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    sampled = way(fresh[0], shapes_hw, fresh[1], fresh[2])  # type: ignore[operator]
    scale = torch.linspace(-1, 1, sampled.numel(), dtype=sampled.dtype).view(sampled.shape)
    (sampled * scale).sum().backward()
    return [sampled.detach(), *(leaf.grad for leaf in fresh if leaf.grad is not None)]


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(1, 4), st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_grid_sample(shapes: list[tuple[int, int]], queries: int, seed: int) -> None:
    leaves = inputs(shapes, queries, seed)
    for fast, slow in zip(*(gradients(w, shapes, leaves) for w in (sample_dense, sample_one_by_one)), strict=True):
        assert fast.shape == slow.shape
        assert torch.allclose(fast, slow, atol=1e-10)


def test_gradients_agree_with_finite_differences() -> None:
    shapes = [(3, 4), (2, 2)]
    value, xy, weights = inputs(shapes, 2, seed=1)
    assert torch.autograd.gradcheck(lambda v, p, w: sample_dense(v, shapes, p, w), (value, xy, weights), atol=1e-6)


def test_bfloat16_values_come_back_as_bfloat16_under_autocast() -> None:
    shapes = [(3, 4)]
    value, xy, weights = (t.detach().float() for t in inputs(shapes, 2, seed=2))
    exact = sample_one_by_one(value.bfloat16(), shapes, xy, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = sample_dense(value.bfloat16().requires_grad_(), shapes, xy, weights)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found, exact, atol=1e-2)


@pytest.mark.parametrize(("positions", "grad", "fast"), [(64, True, True), (64, False, False), (841, True, False)])
def test_only_training_on_small_maps_takes_the_fast_way(
    positions: int, grad: bool, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (positions <= MOST_POSITIONS) == (positions == 64)
    taken = []
    for name in ("sample_dense", "sample_one_by_one"):
        monkeypatch.setattr(deformable_attention, name, lambda *_, name=name: taken.append(name))
    side = int(positions**0.5)
    value, xy, weights = inputs([(side, side)], 1, seed=3)
    with torch.set_grad_enabled(grad):
        sample_levels(value, [(side, side)], xy, weights)
    assert taken == ["sample_dense" if fast else "sample_one_by_one"]
