"""The network out of a checkpoint directory: configuration and weights, every weight in its place."""

import os
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from xdetr_model.alignment import align
from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.weight_files import weights_directory


class Loader(Protocol):
    """``PreTrainedModel.from_pretrained`` of the class to load."""

    def __call__(self, name: Path, **kwargs: Any) -> Any:
        """Load from a directory."""


def load_model(name: str | os.PathLike[str], loader: Loader, **kwargs: Any) -> Any:
    """An X-DETR model in evaluation mode, loaded by ``loader``, its weights aligned in memory (``alignment``).

    With ``output_loading_info`` also the library's report.

    Raises CheckpointError: no such directory or hub name, not an X-DETR checkpoint, damaged, a pickle, or weights
    that are missing, of another shape, or left over.
    """
    directory = weights_directory(name)
    config = kwargs.pop("config", None) or load_config(directory)
    wants_report = kwargs.pop("output_loading_info", False)
    kwargs.pop("trust_remote_code", None)  # whatever is asked for: code of a checkpoint is never run
    try:
        model, report = loader(
            directory,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
            **kwargs,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: the weights do not fit config.json ({one_line(error)})") from error
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(k) for k in report[problem])
        if names:
            word = problem.removesuffix("_keys")
            raise CheckpointError(
                f"{directory}: {len(names)} weights are {word} (first: {names[0]}); config.json and model.safetensors "
                "do not belong together"
            )
    align(model)
    return (model, report) if wants_report else model


def load_config(directory: Path) -> XDetrConfig:
    """The configuration of a checkpoint directory. Raises CheckpointError."""
    try:
        values, _ = XDetrConfig.get_config_dict(directory)
        if values.get("model_type") != XDetrConfig.model_type:
            raise CheckpointError(
                f"{directory}: holds a {values.get('model_type')!r} model, not 'xdetr'; zero-shot detectors are "
                "loaded by HfZeroShotGrounder"
            )
        config: XDetrConfig = XDetrConfig.from_dict(values)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged config.json fails in as many ways as it has fields
        raise CheckpointError(f"{directory}/config.json: cannot be read ({one_line(error)})") from error
    return config
