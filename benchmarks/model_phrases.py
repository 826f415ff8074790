"""What 1, 10, 100 and 1,000 phrases on one photo cost, beside Grounding DINO of the same size, in one run.

    python benchmarks/model_phrases.py --size 400

Both detectors have six encoder and six decoder layers of width 256 and a transformers ResNet-50, both text encoders
twelve layers of width 768 (weights are random; time does not depend on them). Grounding DINO fuses photo and text, so
it runs again for every text; what it costs beyond --measured texts is extrapolated from the last count it ran.
Seconds are CPU seconds of one thread: other jobs on the machine stretch wall time, not these.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

from xdetr_model.grounders.hugging_face import HfZeroShotGrounder
from xdetr_model.grounders.protocol import PhraseQuery
from xdetr_model.grounders.xdetr import XDetrGrounder
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import preset
from xdetr_model.network.tokenizer import bundled_words, word_tokenizer
from xdetr_model.photos import PhotoTransform, PreparedPhoto

RESNET50 = {"model_type": "resnet", "out_features": ["stage2", "stage3", "stage4"]}


def phrases(count: int) -> list[PhraseQuery]:
    """Distinct short texts."""
    words = [w for w in bundled_words() if len(w) > 3]
    texts = [f"a {a} {b}" for a in words for b in words if a != b][:count]
    return [PhraseQuery(text=text, spans=((0, len(text)),)) for text in texts]


def x_detr(shortest_px: int, longest_px: int) -> XDetrGrounder:
    """The R50 preset with random weights, whose text cache is switched off."""
    torch.manual_seed(0)
    transform = PhotoTransform(shortest_px=shortest_px, longest_px=longest_px)
    model = XDetrModel(preset("xdetr-r50").config)
    return XDetrGrounder(model, word_tokenizer(), transform, device="cpu", cache_size=0)


def grounding_dino(shortest_px: int, longest_px: int) -> HfZeroShotGrounder:
    """The published detector's shape on a ResNet-50, with random weights."""
    torch.manual_seed(0)
    text = {"model_type": "bert", "vocab_size": 30522}
    config = GroundingDinoConfig(backbone_config=dict(RESNET50), text_config=text)
    size = {"shortest_edge": shortest_px, "longest_edge": longest_px}
    model = GroundingDinoForObjectDetection(config)
    return HfZeroShotGrounder(model, word_tokenizer(), GroundingDinoImageProcessorPil(size=size), device="cpu")


def seconds(grounder: Any, photo: PreparedPhoto, queries: Sequence[PhraseQuery]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    grounder.ground_prepared([photo], [queries], 10)
    return time.process_time() - begin


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=400, help="shortest side; the paper's is 800")
    parser.add_argument("--measured", type=int, default=100, help="run Grounding DINO for at most so many texts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    longest = round(options.size * 1333 / 800)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    ours, fused = x_detr(options.size, longest), grounding_dino(options.size, longest)
    ours_photo, fused_photo = ours.prepare(photo), fused.prepare(photo)
    for warm, prepared in ((ours, ours_photo), (fused, fused_photo)):
        seconds(warm, prepared, phrases(1))
    print("| phrases | X-DETR s | Grounding DINO s | ratio |")
    print("|---|---|---|---|")
    last_count, last = 1, 0.0
    for count in (1, 10, 100, 1000):
        own = min(seconds(ours, ours_photo, phrases(count)) for _ in range(2))
        if count <= options.measured:
            last_count, last = count, seconds(fused, fused_photo, phrases(count))
        other, mark = (
            last * count / last_count,
            "" if count == last_count else f" ({count // last_count} x that of {last_count})",
        )
        print(f"| {count:,} | {own:.2f} | {other:.2f}{mark} | {other / own:.1f} |", flush=True)


if __name__ == "__main__":
    main()
