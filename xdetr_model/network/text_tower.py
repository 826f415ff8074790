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

LENGTH_GROUPS = 4  # as many calls of the encoder at most, and so many texts in each at least
TEXTS_PER_GROUP = 8


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
    encoder: nn.Module = AutoModel.from_config(config, trust_remote_code=False)
    if "add_pooling_layer" in inspect.signature(type(encoder).__init__).parameters:
        encoder = AutoModel.from_config(config, trust_remote_code=False, add_pooling_layer=False)
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


def phrase_text(text: str, spans_char: Sequence[Span]) -> str:
    """The words of a phrase, its spans joined by a space."""
    return " ".join(text[begin:end] for begin, end in spans_char)


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


def encode_states(encoder: nn.Module, input_ids_NT: Tensor, attention_mask_NT: Tensor) -> Tensor:
    """The encoder's last states ``[N, T, D]``; what stands at padding means nothing.

    On a CPU, where padding costs as much as words, texts of like length are encoded together.
    """
    groups = _like_lengths(attention_mask_NT) if attention_mask_NT.device.type == "cpu" else []
    if len(groups) < 2 or torch.compiler.is_compiling():
        whole: Tensor = encoder(input_ids=input_ids_NT, attention_mask=attention_mask_NT).last_hidden_state
        return whole
    parts = []
    for rows, width in groups:
        ids, mask = input_ids_NT[rows, :width], attention_mask_NT[rows, :width]
        states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        parts.append(nn.functional.pad(states, (0, 0, 0, input_ids_NT.shape[1] - width)))
    back = torch.cat([rows for rows, _ in groups]).argsort()
    return torch.cat(parts)[back]


def _like_lengths(attention_mask_NT: Tensor) -> list[tuple[Tensor, int]]:
    """Rows from short to long in groups of equally many, each with its longest length."""
    places = torch.arange(1, attention_mask_NT.shape[1] + 1, device=attention_mask_NT.device)
    lengths = (attention_mask_NT.bool() * places).amax(1).clamp(min=1)
    count = min(LENGTH_GROUPS, len(lengths) // TEXTS_PER_GROUP)
    order = lengths.argsort(stable=True)
    return [(rows, int(lengths[rows[-1]])) for rows in order.tensor_split(count)] if count > 1 else []


def pool_sentences(states_NTD: Tensor, attention_mask_NT: Tensor, how: str) -> Tensor:
    """Sentence states ``[N, D]``: the first token's (RoBERTa's ``<s>``), or the mean over the text."""
    if how == "first":
        return states_NTD[:, 0]
    weight = attention_mask_NT[..., None].to(states_NTD.dtype)
    return (states_NTD * weight).sum(1) / weight.sum(1).clamp(min=1)
