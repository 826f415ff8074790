"""A grounder from whatever checkpoint is named: an X-DETR one, or a zero-shot detector of transformers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipelines import bundled
from pipelines.labelling.grounding import Grounder, Precision
from xdetr_data.errors import InputError

MODEL_THREADS = 1  # of one process: more would change the last bits of sums, and with them the bytes of the shards


@contextmanager
def model_errors(name: str) -> Iterator[None]:
    """What the model finds wrong inside, becomes a InputError that names the checkpoint."""
    from xdetr_model.errors import XdetrModelError

    try:
        yield
    except XdetrModelError as error:
        problem = str(error) if str(error).startswith(name) else f"{name}: {error}"
        raise InputError(f"--ckpt {problem}") from error


def load_grounder(name: str, *, device: str, precision: Precision, batch_size: int, **asking: Any) -> Grounder:
    """Loads a checkpoint directory, a bundled checkpoint or a hub model; raises InputError in one line where there is
    none that can ground.

    ``asking``: ``context``, ``pooling``, ``masks`` and ``compiled`` where they are not the grounder's own; X-DETR has
    no masks, and alone is compiled.
    """
    import torch
    from transformers.utils import logging

    from xdetr_model.grounders.hugging_face import HfZeroShotGrounder
    from xdetr_model.grounders.xdetr import XDetrGrounder
    from xdetr_model.network.configuration import XDetrConfig
    from xdetr_model.weight_files import checkpoint_directory

    torch.set_num_threads(MODEL_THREADS)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with model_errors(name):
        directory = checkpoint_directory(bundled.checkpoint(name))
        try:
            kind = json.loads((directory / "config.json").read_bytes())["model_type"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise InputError(f"--ckpt {name}: config.json tells no model ({problem}); give a checkpoint") from error
        options = {"device": device, "precision": precision, "batch_size": batch_size, **asking}
        if kind != XDetrConfig.model_type:
            if options.pop("compiled", False):
                raise InputError(
                    f"--ckpt {name}: --compile is for checkpoints of X-DETR, and this is a {kind}; leave it out"
                )
            return HfZeroShotGrounder.from_pretrained(directory, **options)
        options.pop("masks", None)
        return XDetrGrounder.from_pretrained(directory, **options)
