"""The curve that guards the numerics; run as a module to write it again after a change that was meant:

    python -m tests.model.train.golden

Say in the commit why the numbers moved. Training is chaotic (a matching that flips changes everything after it), so
what differs between CPUs has to be tiny: initial values are drawn as integers, which are the same everywhere, and the
steps are computed in double precision. Moving every initial value by 1e-15 of itself (what another order of sums
does) moved the curve by 4e-10, 1e-12 by 6e-7; the test allows 1e-5.
"""

import json
from pathlib import Path

import numpy as np
import torch

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.train.batches import toy_step
from xdetr_model.network.model import XDetrModel
from xdetr_model.train.loss import SourceWeights
from xdetr_model.train.parameters import GROUP_NAMES
from xdetr_model.train.schedules import CoolDown, LinearDecay, StepDrop
from xdetr_model.train.step import GroupPlan, StepOptions, TrainStep

GOLDEN = Path(__file__).parents[2] / "golden" / "training_curve.json"
STEPS = 20


def exact_model(noise: float = 0.0) -> XDetrModel:
    """A small network whose weights are the same on every machine, up to ``noise`` times their size."""
    model = tiny_model({**TWO_STAGE, "encoder_layers": 1, "decoder_layers": 2}).double()
    draw = np.random.default_rng(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.from_numpy(draw.integers(-(1 << 20), 1 << 20, tuple(parameter.shape)) / (1 << 20))
            is_scale = parameter.dim() == 1 and name.endswith("weight")
            # the largest of uniform values that keep a layer's variance
            reach = 0.1 if parameter.dim() == 1 else (3 / parameter[0].numel()) ** 0.5
            parameter.copy_(values * reach + float(is_scale))
            parameter.mul_(1 + noise * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                buffer.fill_(1.0 if name.endswith(("var", "weight")) else 0.0)
    return model


def curve(noise: float = 0.0) -> list[dict[str, float]]:
    """Losses, gradient norm and rates of 20 steps over three sources, with accumulation at every fifth."""
    model = exact_model(noise)
    plans = {name: GroupPlan(rate=2e-4, schedule=StepDrop(after_epoch=3)) for name in GROUP_NAMES}
    plans["text_encoder"] = GroupPlan(rate=1e-4, schedule=LinearDecay(warmup_share=0.2))
    plans["deformable_projections"] = GroupPlan(rate=2e-5, schedule=CoolDown(shape="cosine"))
    options = StepOptions(weights=SourceWeights(pseudo=0.5), clip_norm=10.0, average_decay=0.9)
    step = TrainStep(model, plans, total_steps=STEPS, steps_per_epoch=5, options=options)
    reports = []
    for index in range(STEPS):
        seed = 100 * index
        batches = [
            toy_step(full=[seed, seed + 1], pseudo=[seed + 2], weak=[seed + 3, seed + 4], dtype=torch.float64),
            toy_step(full=[seed + 5], dtype=torch.float64),
        ]
        reports.append(step(batches if index % 5 == 4 else batches[:1]).scalars())
    assert step.average is not None
    reports[-1]["average"] = sum(float(v.double().abs().sum()) for v in step.average.state_dict()["values"].values())
    return reports


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(curve(), indent=1) + "\n")
