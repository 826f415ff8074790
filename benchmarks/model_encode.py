"""Encode time per photo and per 1,203 class names, with randomly initialised weights, in CPU seconds of one thread.

python benchmarks/model_encode.py --preset xdetr-r50 --photos 2

CPU seconds and one thread because other jobs on a machine stretch wall time, and make threads wait for each other.
"""

import argparse
import time

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from xdetr_model.grounders.protocol import PhraseQuery
from xdetr_model.grounders.xdetr import XDetrGrounder, score
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import PRESET_NAMES, preset
from xdetr_model.network.tokenizer import bundled_words, word_tokenizer
from xdetr_model.photos import PhotoTransform

CLASS_NAMES = 1203


def class_names() -> list[PhraseQuery]:
    """As many names as LVIS has, of one to three words each."""
    words = [w for w in bundled_words() if len(w) > 3]
    names = [f"{a} {b}" for a in words for b in words if a != b][: CLASS_NAMES * 7 : 7]
    return [PhraseQuery(text=name, spans=((0, len(name)),)) for name in names[:CLASS_NAMES]]


def tokenizer_for(name: str) -> PreTrainedTokenizerBase:
    """Ids below the vocabulary of any preset; roberta-base's own cannot be had offline, and costs the same."""
    own = preset(name).tokenizer
    return word_tokenizer() if own is None else own


def timed(function: object, repeats: int) -> float:
    """The least CPU seconds of several runs: other processes only ever add."""
    assert callable(function)
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESET_NAMES, action="append")
    parser.add_argument("--photos", type=int, default=2, help="repeats of one photo; the fastest counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    print("| preset | input | parameters | prepare ms | encode photo ms | 1,203 names s | score 1,203 names ms |")
    print("|---|---|---|---|---|---|---|")
    for name in options.preset or PRESET_NAMES:
        chosen = preset(name)
        torch.manual_seed(0)
        model = XDetrModel(chosen.config).eval()
        transform = PhotoTransform.from_processor(chosen.image_processor())
        grounder = XDetrGrounder(model, tokenizer_for(name), transform, device="cpu", cache_size=1)
        prepared = grounder.prepare(photo)
        names = class_names()
        prepare = timed(lambda grounder=grounder: grounder.prepare(photo), 10)
        encode = timed(lambda grounder=grounder, p=prepared: grounder.encode_photos([p]), options.photos)
        begin = time.process_time()
        vectors = grounder.encode_phrases(names)
        text = time.process_time() - begin
        encoded = grounder.encode_photos([prepared])[0]
        scoring = timed(lambda e=encoded, v=vectors: score(e, v, 10), 10)
        height, width = prepared.input_hw
        print(
            f"| {name} | {height}x{width} | {model.num_parameters() / 1e6:.1f} M | {prepare * 1e3:.1f} "
            f"| {encode * 1e3:.0f} | {text:.1f} | {scoring * 1e3:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
