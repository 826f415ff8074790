"""A grounder from whatever checkpoint is named: an X-DETR one, or a zero-shot detector of transformers."""

import json
from typing import Literal

from pipelines.pseudo_label.grounding import Grounder
from xdetr_data.errors import ConfigError

MODEL_THREADS = 1  # of one process: more would change the last bits of sums, and with them the bytes of the shards


def load_grounder(
    name: str, *, device: str, precision: Literal["float32", "bfloat16", "float16"], batch_size: int
) -> Grounder:
    """Loads a checkpoint directory or hub model; raises ConfigError in one line where there is none that can ground."""
    import torch
    from transformers.utils import logging

    from xdetr_model.checkpoint import checkpoint_directory
    from xdetr_model.configuration import XDetrConfig
    from xdetr_model.errors import XdetrModelError
    from xdetr_model.hf_grounder import HfZeroShotGrounder
    from xdetr_model.xdetr_grounder import XDetrGrounder

    torch.set_num_threads(MODEL_THREADS)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        directory = checkpoint_directory(name)
        kind = json.loads((directory / "config.json").read_text())["model_type"]
        grounder = XDetrGrounder if kind == XDetrConfig.model_type else HfZeroShotGrounder
        return grounder.from_pretrained(directory, device=device, precision=precision, batch_size=batch_size)
    except XdetrModelError as error:
        raise ConfigError(f"--ckpt {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--ckpt {name}: config.json cannot be read ({error}); give a checkpoint directory"
        ) from error
