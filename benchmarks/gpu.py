"""Deformable attention's kernels, and a photo's way through the model with and without them, on the GPU at hand.

    make bench-gpu                       (python -m benchmarks.gpu --json out/gpu.json)

Needs torch, triton, transformers and pillow. Sampling is that of a photo of 800x1333 on four levels, as the encoder
(all positions) and the decoder (300 queries) ask for it, 8 heads of 32 channels and 4 points. Times are medians over
repeats between two events on the device, kernel and ``grid_sample`` one after the other in one process. *limit* is the
time to move the least bytes once (each input read, each output written) at the bandwidth of a copy in the same run.
"""

import argparse
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xdetr_model.network.deformable_attention import sample_levels, sample_one_by_one, sampling_by
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import preset

HEADS, DEPTH, POINTS, QUERIES = 8, 32, 4, 300
WAYS = ("kernel", "grid_sample")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Row = dict[str, Any]


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median of ``repeats`` runs after three that do not count."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def copy_bandwidth(megabytes: int = 1024) -> float:
    """Bytes read and written a second by a copy on the device."""
    source = torch.empty(megabytes * 2**20, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / (milliseconds(lambda: target.copy_(source), 20) / 1e3)


def level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Strides 8, 16, 32 and 64."""
    return [(-(-height // stride), -(-width // stride)) for stride in (8, 16, 32, 64)]


def attention_inputs(shapes: list[tuple[int, int]], batch: int, queries: int, dtype: torch.dtype) -> list[Tensor]:
    """Values, positions around a point for each query as a trained network has them, and weights."""
    generator = torch.Generator("cuda").manual_seed(0)
    positions = sum(h * w for h, w in shapes)
    value = torch.randn(batch, positions, HEADS, DEPTH, generator=generator, device="cuda").to(dtype)
    centre = torch.rand(batch, queries, 1, 1, 1, 2, generator=generator, device="cuda")
    if queries == positions:  # the encoder's queries are its positions, in the order of the maps
        grids = [torch.cartesian_prod(*((torch.arange(n) + 0.5) / n for n in shape)).flip(1) for shape in shapes]
        centre = torch.cat(grids).to("cuda")[None, :, None, None, None].expand(batch, -1, -1, -1, -1, -1)
    offset = torch.randn(batch, queries, HEADS, len(shapes), POINTS, 2, generator=generator, device="cuda") * 0.05
    weights = torch.rand(batch, queries, HEADS, len(shapes), POINTS, generator=generator, device="cuda").to(dtype)
    return [value, centre + offset, weights]


def kernel_rows(batch: int, height: int, width: int, repeats: int) -> Iterator[Row]:
    """A row for each shape, dtype and direction: both ways, their ratio, the error, the share of the limit."""
    shapes = level_shapes(height, width)
    bandwidth = copy_bandwidth()
    for name, queries in (("encoder", sum(h * w for h, w in shapes)), ("decoder", QUERIES)):
        for dtype_name, dtype in DTYPES.items():
            inputs = attention_inputs(shapes, batch, queries, dtype)
            exact = sample_one_by_one(inputs[0][:1].double(), shapes, inputs[1][:1].double(), inputs[2][:1].double())
            moved = sum(t.numel() * t.element_size() for t in inputs) + batch * queries * HEADS * DEPTH * dtype.itemsize
            for direction, passes in (("forward", 1), ("forward+backward", 3)):
                row: Row = {"shape": name, "dtype": dtype_name, "direction": direction, "batch": batch}
                for way in WAYS:
                    run = _pass(inputs, shapes, has_gradient=passes > 1)
                    with sampling_by(way):
                        row[f"{way}_ms"] = milliseconds(run, repeats)
                        with torch.no_grad():
                            found = sample_levels(inputs[0][:1], shapes, inputs[1][:1], inputs[2][:1])
                    row[f"{way}_error"] = float((found.double() - exact).norm() / exact.norm())
                row["times_faster"] = row["grid_sample_ms"] / row["kernel_ms"]
                if passes == 1:
                    row["share_of_limit"] = moved / bandwidth * 1e3 / row["kernel_ms"]
                yield row


def _pass(inputs: list[Tensor], shapes: list[tuple[int, int]], *, has_gradient: bool) -> Callable[[], object]:
    leaves = [t.detach().requires_grad_(has_gradient) for t in inputs]

    def run() -> object:
        output = sample_levels(leaves[0], shapes, leaves[1], leaves[2])
        return torch.autograd.grad(output, leaves, torch.ones_like(output)) if has_gradient else output

    return run


def model_rows(batch: int, height: int, width: int, repeats: int) -> Iterator[Row]:
    """Photos a second of the image tower of xdetr-r101 (random weights), bfloat16 autocast, and its peak memory."""
    model = XDetrModel(preset("xdetr-r101").config).cuda()
    pixels = torch.randn(batch, 3, height, width, device="cuda")
    for name, has_gradient in (("encode", False), ("encode with gradients", True)):
        model.train(has_gradient)
        row: Row = {"work": name, "batch": batch, "dtype": "bfloat16 autocast"}
        for way in WAYS:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            with sampling_by(way):
                spent = milliseconds(lambda: _encode(model, pixels, has_gradient=has_gradient), repeats)  # noqa: B023
            row[f"{way}_photos_per_second"] = batch / spent * 1e3
            row[f"{way}_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        row["times_faster"] = row["kernel_photos_per_second"] / row["grid_sample_photos_per_second"]
        yield row


def _encode(model: XDetrModel, pixels: Tensor, *, has_gradient: bool) -> None:
    with torch.set_grad_enabled(has_gradient), torch.autocast("cuda", torch.bfloat16):
        found = model.encode_image(pixels)
    if has_gradient:
        sum(t.float().sum() for t in found).backward()  # type: ignore[union-attr]
        model.zero_grad()


def search_rows(repeats: int, sizes: tuple[int, ...] = (1_000_000, 10_000_000)) -> Iterator[Row]:
    """Exact search of unit vectors, 256 wide, float16: one query's products and its 20 best, beside the limit."""
    bandwidth = copy_bandwidth()
    for count in sizes:
        vectors = torch.nn.functional.normalize(torch.randn(count, 256, device="cuda", dtype=torch.float16), dim=1)
        query = vectors[7]
        spent = milliseconds(lambda: (vectors @ query).topk(20), repeats)  # noqa: B023
        limit = vectors.numel() * 2 / bandwidth * 1e3
        yield {"vectors": count, "ms": spent, "limit_ms": limit, "times_limit": spent / limit}


def main() -> None:
    """Prints a line a row, and writes all of them as JSON after each section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1333), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120, help="of a section: no further row is begun after them")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "error: no GPU is to be seen here (torch.cuda.is_available() is False)\n")
    torch.backends.cuda.matmul.allow_tf32 = True
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    sections: dict[str, Callable[[], Iterator[Row]]] = {
        "kernel": lambda: kernel_rows(args.batch, *args.size, args.repeats),
        "model": lambda: model_rows(args.batch, *args.size, args.repeats),
        "search": lambda: search_rows(args.repeats),
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    for name, rows in sections.items():
        run_section(name, rows, args.seconds, found)
        args.json.write_text(json.dumps(found, indent=1))
    if failures := [name for name in sections if f"{name}_ended" in found]:
        parser.exit(1, f"error: {', '.join(failures)} did not end; see {args.json}\n")


def run_section(name: str, rows: Callable[[], Iterator[Row]], seconds: float, found: dict[str, Any]) -> None:
    """A section's rows go to ``found[name]``, printed as they come. What ends it early, an error or its budget after
    the row under way, is told in ``found[name + "_ended"]``, and the next section has its turn."""
    found[name] = []
    begun = time.monotonic()
    try:
        for row in rows():
            print(name, {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
            found[name].append(row)
            if time.monotonic() - begun > seconds:
                found[f"{name}_ended"] = f"after its {seconds:g} s"
                break
    except Exception as error:
        traceback.print_exc()
        found[f"{name}_ended"] = f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
