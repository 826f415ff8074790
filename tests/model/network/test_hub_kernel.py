"""Every attention is served by a kernel of the hub where that is there, as the library's is (here by a stand-in)."""

import subprocess
import sys
from pathlib import Path

from tests.model.workers import __file__ as _here

ROOT = Path(_here).parents[2]

# What the package ``kernels`` does, as far as the library asks: a class is made known under its layer's name, and
# ``kernelize`` gives the forward of a kernel of that name to a model's layers.
STAND_IN = """
import inspect
import transformers.integrations as integrations
from transformers.models.deformable_detr import modeling_deformable_detr as library

known = {"MultiScaleDeformableAttention": [library.MultiScaleDeformableAttention]}

def use_kernel_forward_from_hub(name):
    def register(layer):
        known.setdefault(name, []).append(layer)
        return layer
    return register

integrations.use_kernel_forward_from_hub = use_kernel_forward_from_hub

import torch
from tests.model.tiny import tiny_model
from xdetr_model.network.deformable_attention import DeformableSampling

theirs, ours = known["MultiScaleDeformableAttention"]
assert ours is DeformableSampling
assert list(inspect.signature(ours.forward).parameters) == list(inspect.signature(theirs.forward).parameters)

calls = []

def kernel(self, value, value_spatial_shapes, value_spatial_shapes_list, level_start_index, sampling_locations,
           attention_weights, im2col_step):
    calls.append((tuple(value.shape), value_spatial_shapes.tolist(), level_start_index.tolist(), im2col_step))
    assert value_spatial_shapes.tolist() == [list(one) for one in value_spatial_shapes_list]
    return theirs.forward(self, value, value_spatial_shapes, value_spatial_shapes_list, level_start_index,
                          sampling_locations, attention_weights, im2col_step)

model = tiny_model().eval()
pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    before = model.encode_image(pixels)
    own, ours.forward = ours.forward, kernel
    after = model.encode_image(pixels)
layers = sum(isinstance(one, ours) for one in model.modules())
assert len(calls) == layers > 0, (len(calls), layers)
assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(before, after))
print("served", len(calls))
"""


def test_a_kernel_of_the_hub_serves_every_attention_with_the_librarys_arguments() -> None:
    ended = subprocess.run([sys.executable, "-c", STAND_IN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("served ")
