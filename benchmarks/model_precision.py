"""Scores and boxes of every family of grounders in half precision, beside float32.

    python -m benchmarks.model_precision

Small networks of the families (``tests/model/grounders``), with random weights, and the bundled toy checkpoint, on one
photo of 1000 × 600 pixels of noise: the distance of each box to the nearest one in float32, the share of box centres on
a grid of 1/256 of the photo (where coordinates in bfloat16 stand), and the largest difference of the sorted scores.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.model.grounders.test_hugging_face import CIRCLE, FAMILIES, grounder, photo
from xdetr_model import XDetrGrounder
from xdetr_model.device import Precision
from xdetr_model.grounders.protocol import Candidates

TOY = Path(__file__).parents[1] / "manifests" / "checkpoints" / "xdetr-toy"
SIZE_WH = (1000, 600)


def candidates(family: str, precision: Precision) -> Candidates:
    """What a family finds for one phrase."""
    if family == "xdetr":
        made = XDetrGrounder.from_pretrained(TOY, device="cpu", precision=precision)
        return made.ground([photo(*SIZE_WH, 1)], [[CIRCLE]], keep=100)[0][0]
    return grounder(family, precision=precision).ground([photo(*SIZE_WH, 1)], [[CIRCLE]], keep=100)[0][0]


def share_on_grid(boxes_xyxy: NDArray[np.float64]) -> float:
    """Of the centres along each axis that the photo's edge does not cut."""
    low, high = boxes_xyxy[:, :2] / SIZE_WH, boxes_xyxy[:, 2:] / SIZE_WH
    centres = ((low + high) / 2)[(low > 0) & (high < 1)]
    return float(np.mean(np.abs(centres * 256 - np.round(centres * 256)) < 1e-3)) if len(centres) else float("nan")


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    print("| family | precision | boxes, median px | largest px | centres on 1/256 | scores, largest difference |")
    print("|---|---|---|---|---|---|")
    kinds: tuple[Precision, ...] = ("bfloat16", "float16")
    for family in ("xdetr", *FAMILIES):
        exact = candidates(family, "float32")
        for precision in kinds:
            found = candidates(family, precision)
            near = np.abs(found.boxes_xyxy[:, None] - exact.boxes_xyxy[None]).max(-1).min(1)
            scores = np.abs(np.sort(found.scores) - np.sort(exact.scores)).max()
            print(
                f"| {family} | {precision} | {np.median(near):.2f} | {near.max():.1f} "
                f"| {share_on_grid(found.boxes_xyxy):.2f} | {scores:.4f} |"
            )


if __name__ == "__main__":
    main()
