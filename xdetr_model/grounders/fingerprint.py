"""One hash for everything that decides what a model answers, so that a manifest can say which model labelled it."""

import hashlib
import json
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

# set by how and where a model was loaded, not by what it is
INCIDENTAL = ("_name_or_path", "name_or_path", "transformers_version", "architectures", "dtype", "_commit_hash")


def fingerprint(model: nn.Module, tokenizer: PreTrainedTokenizerBase, options: str) -> str:
    """SHA-256 of weights, configuration, vocabulary and options; the same before saving and after loading."""
    config: Any = model.config
    digest = hashlib.sha256()
    digest.update(json.dumps(_essential(config.to_dict()), sort_keys=True, default=str).encode())
    digest.update(f"\n{options}\n".encode())
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        digest.update(f"{index} {token}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _essential(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(k): _essential(v) for k, v in values.items() if k not in INCIDENTAL}
    return [_essential(v) for v in values] if isinstance(values, list | tuple) else values
