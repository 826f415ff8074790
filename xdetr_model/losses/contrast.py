"""Two-sided InfoNCE over a batch, or over the joint batch of all ranks (paper, eq. 4-7).

Eq. 4 and 5, as eq. 6 and 7, are one formula read in both directions. For a row i with positives P_i among the
columns C_i it sees: ``loss_i = mean over j in P_i of -log( exp(s_ij / τ) / sum over k in C_i of exp(s_ik / τ) )``.
The loss is the mean over the rows that have a positive.

Legend: K vectors of a side, P pairs, d width of the common space.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from xdetr_model.losses.federated import Known, unknown_pairs
from xdetr_model.losses.gather import gather_rows, mean_count, rank, row_counts, world_size

PHOTOS_PER_RANK = 1 << 32  # sets the photos of different ranks apart


class Side(NamedTuple):
    """Vectors ``[K, d]``, the photo ``[K]`` that each belongs to (its place in the batch), and of words the text
    ``[K]`` (a hash) that each is of."""

    vectors: Tensor
    photo: Tensor
    text: Tensor | None = None


class Pairs(NamedTuple):
    """``left[p]`` and ``right[p]`` belong together, because of text ``text[p]`` (a hash); all ``[P]``."""

    left: Tensor
    right: Tensor
    text: Tensor


class Contrast(NamedTuple):
    """The two losses, and how many rows each is the mean of (on this rank)."""

    left_to_right: Tensor
    right_to_left: Tensor
    left_rows: int
    right_rows: int


class _Columns(NamedTuple):
    """All that a row is compared with: vectors, owners, which column carries which text, and as ``Side.text``."""

    vectors: Tensor
    photo: Tensor
    texted: Tensor
    text: Tensor
    said: Tensor | None


def contrast(
    left: Side,
    right: Side,
    pairs: Pairs,
    known: Known | None,
    temperature: float,
    ignore_same_text: bool,
    gather: bool,
) -> Contrast:
    """Both directions. ``known`` takes pairs of objects (left) and words (right) of which nothing is known out of the
    denominators, ``ignore_same_text`` columns of another photo that carry a row's own text. With ``gather`` the columns
    are those of all ranks. No pairs give 0, with zero gradients."""
    joined = gather and world_size() > 1
    offset = rank() * PHOTOS_PER_RANK if joined else 0
    rights = _columns(right, pairs.right, pairs.text, offset, joined)
    lefts = _columns(left, pairs.left, pairs.text, offset, joined)
    to_right = pairs._replace(right=pairs.right + _first(right.vectors, joined))
    to_left = Pairs(pairs.right, pairs.left + _first(left.vectors, joined), pairs.text)
    if known is not None and joined:
        known = known.joined(offset)
    hidden_right = hidden_left = None
    if known is not None and len(known.federated):
        assert right.text is not None
        assert rights.said is not None
        hidden_right = unknown_pairs(left.photo + offset, rights.said, pairs.left, pairs.text, known)
        hidden_left = unknown_pairs(lefts.photo, right.text, lefts.texted, lefts.text, known).T
    forward, left_rows = _one_way(left, to_right, offset, rights, temperature, ignore_same_text, hidden_right)
    backward, right_rows = _one_way(right, to_left, offset, lefts, temperature, ignore_same_text, hidden_left)
    return Contrast(forward, backward, left_rows, right_rows)


def _first(rows: Tensor, joined: bool) -> int:
    return sum(row_counts(rows)[: rank()]) if joined else 0


def _columns(side: Side, carriers: Tensor, texts: Tensor, photo_offset: int, joined: bool) -> _Columns:
    photo = side.photo + photo_offset
    if not joined:
        return _Columns(side.vectors, photo, carriers, texts, side.text)
    carriers = carriers + _first(side.vectors, joined)
    said = None if side.text is None else gather_rows(side.text)
    return _Columns(gather_rows(side.vectors), gather_rows(photo), gather_rows(carriers), gather_rows(texts), said)


def _one_way(
    rows: Side,
    pairs: Pairs,
    photo_offset: int,
    columns: _Columns,
    temperature: float,
    ignore_same_text: bool,
    hidden: Tensor | None,
) -> tuple[Tensor, int]:
    """``pairs``: left = row on this rank, right = column among all. ``hidden``: True on columns that a row does not see
    unless they are its positives, ``[all rows, columns]``."""
    used, row = torch.unique(pairs.left, return_inverse=True)
    similarity = rows.vectors[used] @ columns.vectors.T / temperature
    positive = torch.zeros_like(similarity, dtype=torch.bool)
    positive[row, pairs.right] = True
    hidden = None if hidden is None else hidden[used]
    if ignore_same_text:
        elsewhere = (rows.photo[used] + photo_offset)[:, None] != columns.photo[None]
        alike = _share_text(row, pairs.text, columns, similarity) & elsewhere
        hidden = alike if hidden is None else hidden | alike
    if hidden is None:
        spread = torch.logsumexp(similarity, 1)
    else:
        spread = torch.logsumexp(similarity.masked_fill(hidden & ~positive, -math.inf), 1)
    attraction = similarity.masked_fill(~positive, 0).sum(1) / positive.sum(1)
    # the zero keeps both sides in the graph of a rank that has no pairs
    zero = 0 * (rows.vectors.sum() + columns.vectors.sum())
    count = mean_count(torch.tensor(used.numel(), device=similarity.device)).to(similarity.dtype)
    return (spread - attraction).sum() / count + zero, used.numel()


def _share_text(row: Tensor, text_of_pair: Tensor, columns: _Columns, like: Tensor) -> Tensor:
    """``[rows, columns]``: the row and the column both carry some text."""
    shared = torch.zeros_like(like, dtype=torch.bool)
    if columns.text.numel() == 0 or row.numel() == 0:
        return shared
    texts, of_column = torch.unique(columns.text, return_inverse=True)
    of_row = torch.searchsorted(texts, text_of_pair)
    carriers, carrier = torch.unique(columns.texted, return_inverse=True)
    row_texts = like.new_zeros(like.shape[0], texts.numel())
    row_texts[row, of_row] = 1
    column_texts = like.new_zeros(carriers.numel(), texts.numel())
    column_texts[carrier, of_column] = 1
    shared[:, carriers] = row_texts @ column_texts.T > 0
    return shared
