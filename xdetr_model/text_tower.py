"""Text side: any transformers text encoder with a fast tokenizer, and the map from characters to tokens.

Legend: N texts, T tokens.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedTokenizerBase

from xdetr_model.errors import CheckpointError, TargetError

Span = tuple[int, int]
Fit = Literal["whole", "cut", "truncated", "between_tokens"]


class TokenizedTexts(NamedTuple):
    """``input_ids [N, T]``, ``attention_mask [N, T]``, and ``offsets_char [N, T, 2]`` (0, 0 for special tokens).

    ``covered_chars [N]``: characters before this one were seen; a text longer than that was truncated.
    """

    input_ids: Tensor
    attention_mask: Tensor
    offsets_char: Tensor
    covered_chars: tuple[int, ...]

    @property
    def is_word(self) -> Tensor:
        """``[N, T]`` True for tokens that stand for characters: neither padding nor special."""
        return self.offsets_char[..., 1] > self.offsets_char[..., 0]


class PhraseTokens(NamedTuple):
    """Indices of a phrase's tokens, and whether it is whole, cut by truncation, wholly truncated, or of characters
    that no token stands for."""

    tokens: tuple[int, ...]
    fit: Fit


def build_text_encoder(config: PreTrainedConfig) -> nn.Module:
    """A randomly initialised text encoder, without the pooling layer that nothing here would train."""
    encoder: nn.Module = AutoModel.from_config(config)
    if "add_pooling_layer" in inspect.signature(type(encoder).__init__).parameters:
        encoder = AutoModel.from_config(config, add_pooling_layer=False)
    return encoder


def check_tokenizer(tokenizer: Any) -> PreTrainedTokenizerBase:
    """The tokenizer, if it is a fast one. Raises CheckpointError."""
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"{type(tokenizer).__name__} is not a fast tokenizer: character spans need one, save it with tokenizer.json"
        )
    return tokenizer


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> TokenizedTexts:
    """Token ids padded to the longest text, at most ``max_tokens``; no texts give ``[0, 0]``."""
    if not texts:
        empty = torch.zeros(0, 0, dtype=torch.long)
        return TokenizedTexts(empty, empty, torch.zeros(0, 0, 2, dtype=torch.long), ())
    encoded = tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=max_tokens,
        return_offsets_mapping=True,
        return_attention_mask=True,
    )
    # return_tensors="pt" takes ten times as long: the library flattens nested lists number by number
    input_ids, attention_mask, offsets = (
        torch.from_numpy(np.array(encoded[name], dtype=np.int64))
        for name in ("input_ids", "attention_mask", "offset_mapping")
    )
    ends = offsets[..., 1].max(dim=1).values.tolist()
    full = attention_mask.sum(1).tolist()
    covered = tuple(
        len(text) if count < max_tokens else int(end) for text, count, end in zip(texts, full, ends, strict=True)
    )
    return TokenizedTexts(input_ids, attention_mask, offsets, covered)


def phrase_tokens(tokenized: TokenizedTexts, row: int, text: str, spans_char: Sequence[Span]) -> PhraseTokens:
    """Tokens of text ``row`` that share a character with one of the spans.

    Raises TargetError for a span outside the text or without characters.
    """
    for begin, end in spans_char:
        if not 0 <= begin < end <= len(text):
            raise TargetError(f"span [{begin}, {end}) is not within the {len(text)} characters of {text!r}")
    offsets = tokenized.offsets_char[row].tolist()
    found = {
        index
        for begin, end in spans_char
        for index, (first, last) in enumerate(offsets)
        if first < end and last > begin and last > first
    }
    tokens = tuple(sorted(found))
    covered = tokenized.covered_chars[row]
    beyond = any(text[max(begin, covered) : end].strip() for begin, end in spans_char)
    if tokens:
        return PhraseTokens(tokens, "cut" if beyond else "whole")
    return PhraseTokens(tokens, "truncated" if beyond else "between_tokens")


def pool_sentences(states_NTD: Tensor, attention_mask_NT: Tensor, how: str) -> Tensor:
    """Sentence states ``[N, D]``: the first token's (RoBERTa's ``<s>``), or the mean over the text."""
    if how == "first":
        return states_NTD[:, 0]
    weight = attention_mask_NT[..., None].to(states_NTD.dtype)
    return (states_NTD * weight).sum(1) / weight.sum(1).clamp(min=1)
