"""What the losses are computed against: boxes per photo, texts, and which tokens name which boxes.

A trainer fills :class:`PhotoTarget` with plain values; :func:`collate_targets` turns a batch into tensors and counts
everything that it had to leave out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdetr_model.boxes import xyxy_to_cxcywh
from xdetr_model.errors import TargetError
from xdetr_model.network.text_tower import Span, TokenizedTexts, phrase_text, phrase_tokens, tokenize

EDGE_TOLERANCE_NORM = 1e-3  # rounding lets boxes end a little outside the photo


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseTarget:
    """Character spans of the query's text ↔ indices into the photo's regions."""

    spans_char: tuple[Span, ...]
    regions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTarget:
    """A sentence and its phrases. ``is_caption``: it describes the whole photo and enters eq. 6 and 7."""

    text: str
    phrases: tuple[PhraseTarget, ...] = ()
    is_caption: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTarget:
    """Boxes ``[R][4]`` in units of the photo, corners, and the photo's sentences.

    ``boxes_xyxy_norm=None`` means that nobody drew boxes on this photo (an image-caption pair): it stays outside the
    detection losses and outside the denominators of eq. 4 and 5. An empty tuple means that there is nothing on it.
    ``ignored_xyxy_norm``: boxes around objects that nobody told apart (a crowd): what is found there is neither right
    nor wrong. ``known_texts``: the annotation is federated, and these are the queries' texts of which it is known which
    of the photo's objects they mean; None: every text is known.
    """

    boxes_xyxy_norm: Sequence[Sequence[float]] | None
    queries: tuple[QueryTarget, ...] = ()
    ignored_xyxy_norm: Sequence[Sequence[float]] = ()
    known_texts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCounts:
    """What the batch held, and what was left out of the losses and why. ``phrases_*`` other than ``phrases`` and
    ``phrases_cut`` were left out; cut ones are trained on the tokens that remain."""

    photos: int = 0
    photos_without_boxes: int = 0
    regions: int = 0
    regions_without_area: int = 0
    queries: int = 0
    queries_truncated: int = 0
    phrases: int = 0
    phrases_cut: int = 0
    phrases_truncated: int = 0
    phrases_between_tokens: int = 0
    phrases_without_region: int = 0

    def __add__(self, other: "TargetCounts") -> "TargetCounts":
        """Sums, for reporting over an epoch."""
        return TargetCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """A batch of B photos with R regions in all, and N texts of T tokens.

    ``boxes_cxcywh_norm [R, 4]`` of all photos one after the other, ``regions_per_photo`` how many are whose,
    ``is_annotated [B]`` False where nobody drew boxes; ``ignored_xyxy_norm [I, 4]`` and ``ignored_photo [I]`` where
    objects are that nobody told apart; ``input_ids``, ``attention_mask``, ``is_word [N, T]``,
    ``query_photo [N]``, ``is_caption [N]``, ``caption_text [N]`` (a hash of the text).
    ``federated_photo [F]``: photos of which some texts alone are known, ``known_text [K]`` (hashes), each on
    ``known_photo [K]``.
    ``positive_region [P]``, ``positive_token [P]`` (n * T + t) and ``positive_text [P]`` (a hash of the phrase) say
    which token names which region, and by which phrase.
    """

    boxes_cxcywh_norm: Tensor
    regions_per_photo: tuple[int, ...]
    is_annotated: Tensor
    ignored_xyxy_norm: Tensor
    ignored_photo: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    is_word: Tensor
    query_photo: Tensor
    is_caption: Tensor
    caption_text: Tensor
    federated_photo: Tensor
    known_photo: Tensor
    known_text: Tensor
    positive_region: Tensor
    positive_token: Tensor
    positive_text: Tensor
    counts: TargetCounts

    def to(self, device: torch.device | str) -> "Targets":
        """The same on a device."""
        moved: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Tensor):
                moved[part.name] = value.to(device)
        return replace(self, **moved)


@dataclass(slots=True)
class _Positives:
    region: list[int]
    token: list[int]
    text: list[int]


def collate_targets(photos: Sequence[PhotoTarget], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Targets:
    """Tensors of a batch. Boxes without area are left out and counted, with the phrases that name nothing else.

    Raises TargetError for boxes that are not finite or not in units of the photo, regions that do not exist, and
    spans outside their text; the message names the photo's place in the batch.
    """
    texts = [query.text for photo in photos for query in photo.queries]
    tokenized = tokenize(tokenizer, texts, max_tokens)
    boxes, new_index, counts = _collate_boxes(photos)
    positives, phrase_counts = _collate_phrases(photos, new_index, tokenized)
    owners = [b for b, photo in enumerate(photos) for _ in photo.queries]
    queries = [query for photo in photos for query in photo.queries]
    known = [(b, text) for b, photo in enumerate(photos) for text in sorted(photo.known_texts or ())]
    return Targets(
        boxes_cxcywh_norm=boxes,
        regions_per_photo=tuple(len(index) for index in new_index),
        is_annotated=torch.tensor([p.boxes_xyxy_norm is not None for p in photos], dtype=torch.bool),
        ignored_xyxy_norm=torch.cat([torch.zeros(0, 4), *(_ignored(p, b) for b, p in enumerate(photos))]),
        ignored_photo=torch.tensor([b for b, p in enumerate(photos) for _ in p.ignored_xyxy_norm], dtype=torch.long),
        input_ids=tokenized.input_ids,
        attention_mask=tokenized.attention_mask,
        is_word=tokenized.is_word,
        query_photo=torch.tensor(owners, dtype=torch.long),
        is_caption=torch.tensor([q.is_caption for q in queries], dtype=torch.bool),
        caption_text=torch.tensor([text_hash(q.text) for q in queries], dtype=torch.long),
        federated_photo=torch.tensor([b for b, p in enumerate(photos) if p.known_texts is not None], dtype=torch.long),
        known_photo=torch.tensor([b for b, _ in known], dtype=torch.long),
        known_text=torch.tensor([text_hash(text) for _, text in known], dtype=torch.long),
        positive_region=torch.tensor(positives.region, dtype=torch.long),
        positive_token=torch.tensor(positives.token, dtype=torch.long),
        positive_text=torch.tensor(positives.text, dtype=torch.long),
        counts=counts + phrase_counts,
    )


def text_hash(text: str) -> int:
    """63-bit hash of a text without regard to case and outer white space; the same on every machine."""
    digest = blake2b(" ".join(text.lower().split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _collate_boxes(photos: Sequence[PhotoTarget]) -> tuple[Tensor, list[dict[int, int]], TargetCounts]:
    """All usable boxes, and per photo where its region ``i`` went."""
    kept: list[Tensor] = []
    new_index: list[dict[int, int]] = []
    total, dropped = 0, 0
    for index, photo in enumerate(photos):
        corners = _corners(photo, index)
        _check_boxes(corners, index)
        corners = corners.clamp(0, 1)
        has_area = (corners[:, 2:] > corners[:, :2]).all(1)
        usable = has_area.nonzero()[:, 0].tolist()
        new_index.append({old: total + new for new, old in enumerate(usable)})
        total += len(usable)
        dropped += len(corners) - len(usable)
        kept.append(xyxy_to_cxcywh(corners[has_area]))
    counts = TargetCounts(
        photos=len(photos),
        photos_without_boxes=sum(p.boxes_xyxy_norm is None for p in photos),
        regions=total + dropped,
        regions_without_area=dropped,
    )
    boxes = torch.cat(kept) if kept else torch.zeros(0, 4)
    return boxes, new_index, counts


def _ignored(photo: PhotoTarget, index: int) -> Tensor:
    corners = torch.tensor([list(box) for box in photo.ignored_xyxy_norm], dtype=torch.float32).reshape(-1, 4)
    _check_boxes(corners, index)
    return corners.clamp(0, 1)


def _corners(photo: PhotoTarget, index: int) -> Tensor:
    for region, box in enumerate(photo.boxes_xyxy_norm or ()):
        if len(box) != 4:
            raise TargetError(f"photo {index} of the batch, region {region}: a box has 4 numbers, not {len(box)}")
    return torch.tensor([list(b) for b in photo.boxes_xyxy_norm or ()], dtype=torch.float32).reshape(-1, 4)


def _check_boxes(corners_xyxy_norm: Tensor, photo: int) -> None:
    finite = torch.isfinite(corners_xyxy_norm).all(1)
    inside = (corners_xyxy_norm >= -EDGE_TOLERANCE_NORM) & (corners_xyxy_norm <= 1 + EDGE_TOLERANCE_NORM)
    for problem, fine in (("is not finite", finite), ("is not in units of the photo (0..1)", inside.all(1))):
        if not bool(fine.all()):
            region = int((~fine).nonzero()[0, 0])
            values = [round(v, 4) for v in corners_xyxy_norm[region].tolist()]
            raise TargetError(f"photo {photo} of the batch, region {region}: box {values} {problem}")


def _collate_phrases(
    photos: Sequence[PhotoTarget], new_index: Sequence[dict[int, int]], tokenized: TokenizedTexts
) -> tuple[_Positives, TargetCounts]:
    positives = _Positives([], [], [])
    width = int(tokenized.input_ids.shape[1])
    seen = {"whole": 0, "cut": 0, "truncated": 0, "between_tokens": 0, "without_region": 0}
    row = 0
    truncated = 0
    for index, photo in enumerate(photos):
        regions = len(photo.boxes_xyxy_norm or ())
        for query in photo.queries:
            truncated += tokenized.covered_chars[row] < len(query.text)
            for phrase in query.phrases:
                _check_regions(phrase, regions, index, query.text)
                found = phrase_tokens(tokenized, row, query.text, phrase.spans_char)
                targets = [new_index[index][r] for r in phrase.regions if r in new_index[index]]
                seen[found.fit if targets or not found.tokens else "without_region"] += 1
                name = text_hash(phrase_text(query.text, phrase.spans_char))
                for region in targets:
                    positives.region += [region] * len(found.tokens)
                    positives.token += [row * width + t for t in found.tokens]
                    positives.text += [name] * len(found.tokens)
            row += 1
    return positives, TargetCounts(
        queries=row,
        queries_truncated=truncated,
        phrases=sum(seen.values()),
        phrases_cut=seen["cut"],
        phrases_truncated=seen["truncated"],
        phrases_between_tokens=seen["between_tokens"],
        phrases_without_region=seen["without_region"],
    )


def _check_regions(phrase: PhraseTarget, regions: int, photo: int, text: str) -> None:
    wrong = [r for r in phrase.regions if not 0 <= r < regions]
    if wrong:
        raise TargetError(f"photo {photo} of the batch: a phrase of {text!r} names region {wrong[0]} of {regions}")
