"""Draws the curves of a training run: losses of the steps, figures of the evaluations.

python -m benchmarks.toy_curve --run runs/toy --out docs/images/toy_curve.png
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LOSSES = {"full/t2o": "words → objects", "full/giou": "1 − GIoU", "full/objectness": "objectness"}
FIGURES = {"boxes/ap50": "AP50 (boxes)", "phrases/all/recall@1": "recall@1 (all phrases)"}


def main() -> None:
    """Reads ``metrics.jsonl`` of a run folder and writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    lines = [json.loads(line) for line in (flags.run / "metrics.jsonl").read_text().splitlines()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    steps = [line for line in lines if line["kind"] == "train"]
    for name, label in LOSSES.items():
        left.plot([line["step"] for line in steps], [line[name] for line in steps], label=label, linewidth=0.8)
    left.set(xlabel="step", yscale="log", title="losses of the last decoder layer")
    evaluations = [line for line in lines if line["kind"] == "evaluate"]
    for name, label in FIGURES.items():
        right.plot([line["step"] for line in evaluations], [line[name] for line in evaluations], "o-", label=label)
    right.set(xlabel="step", ylim=(0, 1), title="averaged weights on 300 validation photos")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(flags.out, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
