"""The curve that guards the numerics; run as a module to write it again after a change that was meant:

    python -m tests.model.train.golden

Say in the commit why the numbers moved. It is computed in double precision: other CPUs and libraries then differ by
less than 1e-9 in 20 steps, whereas any change of a loss, a rate, an order or an initial value shows at once.
"""

import json
from pathlib import Path

import torch

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.train.batches import toy_step
from xdetr_model.train.loss import SourceWeights
from xdetr_model.train.parameters import GROUP_NAMES
from xdetr_model.train.schedules import CoolDown, LinearDecay, StepDrop
from xdetr_model.train.step import GroupPlan, StepOptions, TrainStep

GOLDEN = Path(__file__).parents[2] / "golden" / "training_curve.json"
STEPS = 20


def curve() -> list[dict[str, float]]:
    """Losses, gradient norm and rates of 20 steps over three sources, with accumulation at every fifth."""
    model = tiny_model({**TWO_STAGE, "encoder_layers": 1, "decoder_layers": 2}).double()
    plans = {name: GroupPlan(rate=1e-3, schedule=StepDrop(after_epoch=3)) for name in GROUP_NAMES}
    plans["text_encoder"] = GroupPlan(rate=5e-4, schedule=LinearDecay(warmup_share=0.2))
    plans["deformable_projections"] = GroupPlan(rate=1e-4, schedule=CoolDown(shape="cosine"))
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
