"""The Triton kernels equal the library's sampling in double precision; without a GPU in Triton's interpreter."""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from tests.model.tiny import tiny_model
from tests.model.workers import run_ranks
from xdetr_model.errors import ModelConfigError
from xdetr_model.network import deformable_attention, sampling_op
from xdetr_model.network.deformable_attention import sample_one_by_one, sampling, sampling_by
from xdetr_model.network.sampling_op import sample

# of an error's norm: a step of the dtype, since the interpreter cuts bfloat16 off where a GPU rounds
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@dataclass(frozen=True)
class Case:
    shapes_hw: tuple[tuple[int, int], ...]
    batch: int
    queries: int
    heads: int
    points: int
    depth: int
    value_dtype: torch.dtype = torch.float32
    weight_dtype: torch.dtype = torch.float32
    reach: float = 0.2
    is_contiguous: bool = True

    def tensors(self, seed: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Value, positions from ``-reach`` to ``1 + reach``, weights, and a gradient of the output."""
        generator = torch.Generator().manual_seed(seed)
        count, levels = sum(h * w for h, w in self.shapes_hw), len(self.shapes_hw)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        value = normal(self.batch, self.heads, count, self.depth).transpose(1, 2)
        xy = torch.rand(self.batch, self.heads, self.queries, 2, levels, self.points, generator=generator)
        xy = (xy * (1 + 2 * self.reach) - self.reach).permute(0, 2, 1, 4, 5, 3)
        weights = normal(self.batch, self.heads, self.queries, levels, self.points).transpose(1, 2)
        gradient = normal(self.batch, self.heads * self.depth, self.queries).transpose(1, 2)
        made = (value.to(self.value_dtype), xy, weights.to(self.weight_dtype), gradient.to(self.value_dtype))
        value, xy, weights, gradient = (
            t.to(device) if not self.is_contiguous else t.contiguous().to(device) for t in made
        )
        return value, xy, weights, gradient


def random_case(seed: int) -> Case:
    """Sizes at random, small enough for the interpreter, which takes some milliseconds a point."""
    draw = random.Random(seed)
    halves = (torch.float32, torch.bfloat16, torch.float16)
    levels = draw.choice((1, 1, 2, 3, 4))
    return Case(
        shapes_hw=tuple((draw.randint(1, 11), draw.randint(1, 11)) for _ in range(levels)),
        batch=draw.choice((0, 1, 1, 1, 2)),
        queries=draw.choice((1, 1, 2, 7, 16, 17, 32, 33)),
        heads=draw.choice((1, 1, 2, 3)),
        points=draw.choice((1, 2, 4)) if levels < 3 else 1,
        depth=draw.choice((1, 3, 8, 16, 24, 32)),
        value_dtype=draw.choice(halves),
        weight_dtype=draw.choice(halves),
        reach=draw.choice((0.0, 0.2, 3.0, 1e6)),
        is_contiguous=draw.random() < 0.5,
    )


CASES = {f"random-{seed}": random_case(seed) for seed in range(50)} | {
    "900 queries": Case(((5, 9), (3, 5)), 1, 900, 1, 2, 32),
    "as in the encoder": Case(((4, 7), (2, 4), (1, 2), (1, 1)), 1, 39, 1, 4, 32, torch.bfloat16, torch.bfloat16),
    "no query": Case(((2, 3),), 2, 0, 2, 2, 8),
}


@pytest.fixture(autouse=True)
def large_blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """900 queries in one program: the interpreter's time is that of programs."""
    before = (sampling_op.BLOCK_QUERIES, sampling_op.BLOCK_QUERIES_BACKWARD)
    if "900" in request.node.name and not torch.cuda.is_available():
        sampling_op.BLOCK_QUERIES = sampling_op.BLOCK_QUERIES_BACKWARD = 1024
    yield
    sampling_op.BLOCK_QUERIES, sampling_op.BLOCK_QUERIES_BACKWARD = before


def error(found: Tensor, exact: Tensor) -> float:
    """The norm of the difference as a part of the exact values'; of nothing 0."""
    assert found.shape == exact.shape
    return float((found.detach().double() - exact).norm() / exact.norm().clamp(min=1e-30)) if exact.numel() else 0.0


def leaves(tensors: Sequence[Tensor], dtype: torch.dtype | None = None) -> list[Tensor]:
    return [t.detach().to(dtype or t.dtype).requires_grad_() for t in tensors]


def shapes_on(case: Case, device: str) -> Tensor:
    return torch.tensor(case.shapes_hw, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_values_and_all_gradients_are_those_of_grid_sample_in_double_precision(name: str, device: str) -> None:
    case = CASES[name]
    *inputs, gradient = case.tensors(1, device)
    own, exact = leaves(inputs), leaves(inputs, torch.float64)
    found = sample(own[0], shapes_on(case, device), own[1], own[2])
    found.backward(gradient)
    wanted = sample_one_by_one(exact[0], case.shapes_hw, exact[1], exact[2])
    wanted.backward(gradient.double())
    assert found.dtype == case.value_dtype
    assert error(found, wanted.detach()) <= TOLERANCE[case.value_dtype]
    for one, other in zip(own, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert one.grad.dtype == one.dtype
        # of a place a million levels away float32 knows no pixel, but its corners are all outside, and so are these
        assert error(one.grad, other.grad) <= TOLERANCE[one.dtype] + (1e-5 if case.reach > 1 else 0)


@pytest.mark.parametrize("device", DEVICES)
def test_a_place_that_is_no_number_makes_its_query_no_number_and_no_other(device: str) -> None:
    case = Case(((3, 4), (2, 2)), 1, 5, 1, 1, 4)
    value, xy, weights, _ = case.tensors(0, device)
    xy[0, 2, 0, 1, 0, 0] = torch.nan
    found = sample(value, shapes_on(case, device), xy, weights)
    assert found.isnan().all(-1)[0].tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("device", DEVICES)
def test_the_operator_is_registered_as_torch_wants_it(device: str) -> None:
    case = Case(((3, 4), (2, 2)), 2, 3, 1, 1, 4)
    value, xy, weights, gradient = case.tensors(0, device)
    shapes = shapes_on(case, device)
    torch.library.opcheck(sample, (*leaves([value]), shapes, *leaves([xy, weights])))
    torch.library.opcheck(sampling_op.sample_backward, (gradient, value, shapes, xy, weights))


def test_types_that_the_kernel_lacks_are_refused_with_the_remedy() -> None:
    case = Case(((3, 4),), 1, 1, 1, 1, 4)
    value, xy, weights, _ = case.tensors(0, "cpu")
    with pytest.raises(TypeError, match="XDETR_SAMPLING=grid_sample"):
        sample(value.double(), shapes_on(case, "cpu"), xy, weights)


def trained(model: nn.Module, device: str, autocast: bool = False) -> list[Tensor]:
    """Output and gradients of a small network's trunk."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, 3, 64, 96, generator=generator).to(device)
    none = torch.zeros(0, 0, dtype=torch.long, device=device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
        output = model(pixels, None, none, none)
    (output.objects.square().mean() + output.boxes_cxcywh_norm.sum()).backward()
    parameters = [p.grad for p in model.parameters() if p.grad is not None]
    return [output.objects.detach(), output.boxes_cxcywh_norm.detach(), *parameters]


def small() -> nn.Module:
    """Two levels of attention, one head, one point a level, so that the interpreter has little to do."""
    detector = {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 1,
        "decoder_attention_heads": 1,
        "encoder_n_points": 1,
        "decoder_n_points": 1,
        "num_feature_levels": 4,
        "num_queries": 3,
    }
    return tiny_model(detector).train()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_network_is_the_same_with_either_way(device: str) -> None:
    model = small().to(device)
    with sampling_by("kernel"):
        found = trained(copy.deepcopy(model), device)
    with sampling_by("grid_sample"):
        wanted = trained(model, device)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(found, wanted, strict=True))


def test_autocast_keeps_positions_whole_and_both_ways_agree(device: str) -> None:
    model = small().to(device)
    with sampling_by("kernel"):
        found = trained(copy.deepcopy(model), device, autocast=True)
    with sampling_by("grid_sample"):
        wanted = trained(model, device, autocast=True)
    assert torch.allclose(found[1], wanted[1], atol=2e-3)
    assert torch.allclose(found[0], wanted[0], atol=3e-2)


def test_recomputed_activations_give_the_same_gradients(device: str) -> None:
    case = Case(((3, 4), (2, 2)), 1, 5, 2, 1, 8)
    *inputs, gradient = case.tensors(3, device)
    shapes = shapes_on(case, device)
    plain, again = leaves(inputs), leaves(inputs)
    sample(plain[0], shapes, plain[1], plain[2]).backward(gradient)
    recomputed = checkpoint(sample, again[0], shapes, again[1], again[2], use_reentrant=False)
    assert isinstance(recomputed, Tensor)
    recomputed.backward(gradient)
    for one, other in zip(plain, again, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_torch_compile_keeps_the_operator_in_one_graph(device: str) -> None:
    case = Case(((3, 4), (2, 2)), 1, 5, 1, 1, 8)
    *inputs, gradient = case.tensors(3, device)
    plain, compiled = leaves(inputs), leaves(inputs)

    def attend(value: Tensor, xy: Tensor, weights: Tensor) -> Tensor:
        layer = deformable_attention.DeformableSampling()
        sizes = shapes_on(case, device)
        return 2 * layer(value, sizes, list(case.shapes_hw), sizes[:, 0], xy, weights, 64)

    with sampling_by("kernel"):
        attend(*plain).backward(gradient)
        torch.compile(attend, fullgraph=True, backend="aot_eager")(*compiled).backward(gradient)
    for one, other in zip(plain, compiled, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-6)


def _share(rank: int) -> list[Tensor]:
    """Gradients of the mean over ranks of each rank's loss, by DistributedDataParallel."""
    torch.manual_seed(0)
    layer = DistributedDataParallel(Attention())
    layer(rank).backward()
    return [p.grad for p in layer.parameters() if p.grad is not None]


class Attention(nn.Module):
    """Values and positions as parameters."""

    case = Case(((3, 4), (2, 2)), 1, 4, 1, 1, 8)

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.ParameterList(self.case.tensors(0, "cpu")[:3])

    def forward(self, rank: int) -> Tensor:
        value, xy, weights = self.inputs
        return sample(value, shapes_on(self.case, "cpu"), xy, weights * (rank + 1)).square().sum()


def test_gradients_are_averaged_over_processes() -> None:
    found = run_ranks(2, _share)
    layer = Attention()
    ((layer(0) + layer(1)) / 2).backward()
    for rank in found:
        for one, parameter in zip(rank, layer.parameters(), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(one, parameter.grad, rtol=1e-4, atol=1e-5)


def test_the_switch_is_checked_and_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sampling()
    with sampling_by("grid_sample"):
        assert sampling() == "grid_sample"
    assert sampling() == before
    monkeypatch.setattr(deformable_attention, "_taken", "fast")
    with pytest.raises(ModelConfigError, match="auto, kernel, grid_sample"):
        sampling()
    monkeypatch.setattr(deformable_attention, "_taken", "kernel")
    monkeypatch.setattr(deformable_attention, "HAS_TRITON", False)
    with pytest.raises(ModelConfigError, match="needs the package triton"):
        sampling()


@pytest.mark.gpu
def test_a_gpu_takes_the_kernel_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(deformable_attention, "sample", lambda value, *_: taken.append(value.device.type))
    case = Case(((3, 4),), 1, 1, 1, 1, 8)
    value, xy, weights, _ = case.tensors(0, "cuda")
    deformable_attention.sample_levels(value, case.shapes_hw, xy, weights)
    assert taken == ["cuda"]
