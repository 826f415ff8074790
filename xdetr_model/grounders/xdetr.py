"""A grounder backed by an X-DETR checkpoint: photo and text meet in one matrix product."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdetr_model.alignment import align
from xdetr_model.checkpoints.directory import Checkpoint, load_checkpoint
from xdetr_model.device import BatchRunner, Precision, dtype_of, pick_device
from xdetr_model.errors import ModelConfigError
from xdetr_model.grounders.fingerprint import fingerprint
from xdetr_model.grounders.protocol import Candidates, Fit, PhraseQuery, best, check_call, to_pixels
from xdetr_model.grounders.windows import windowed
from xdetr_model.network.model import ImageEncoding, XDetrModel
from xdetr_model.network.text_tower import check_tokenizer, phrase_text, phrase_tokens, tokenize
from xdetr_model.photos import PhotoTransform, PreparedPhoto

Pooling = Literal["mean", "max"]
SHAPE_STEP_PX = 128
MOST_SHAPES = 64  # that are compiled; with sides of 800 to 1333 pixels there are fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPhoto:
    """All objects of a photo, on the CPU: ``objects [Q, d]``, ``boxes_xyxy [Q, 4]`` in pixels of the original photo,
    ``objectness [Q]`` as a probability, ``image [d]``."""

    objects: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float64]
    objectness: NDArray[np.float32]
    image: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPhrase:
    """``vectors [n, d]`` whose largest product with an object is the phrase's score; none if the model saw none of
    it. The mean of the tokens is one vector; ``max`` keeps a vector per token."""

    vectors: NDArray[np.float32]
    fit: Fit


class XDetrGrounder:
    """See :class:`xdetr_model.grounders.protocol.Grounder`. A score is the cosine of object and phrase, -1..1.

    ``pooling``: a phrase is the mean of its tokens, or scores as its best token. ``context``: tokens are read in their
    sentence, or the phrase alone is the text. Encoded phrases are kept, the ``cache_size`` last used. ``compiled``: the
    image tower is compiled once for each shape of a batch, of which there are few, as sides are multiples of
    ``SHAPE_STEP_PX`` and a batch that is not full is filled with its last photo.
    """

    def __init__(
        self,
        model: XDetrModel,
        tokenizer: PreTrainedTokenizerBase,
        transform: PhotoTransform,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch_size: int = 8,
        text_batch_size: int = 256,
        pooling: Pooling = "mean",
        context: bool = True,
        compiled: bool = False,
        cache_size: int = 100_000,
    ):
        if pooling not in get_args(Pooling):
            raise ModelConfigError(f"pooling={pooling!r} is unknown: use one of {', '.join(get_args(Pooling))}")
        self.transform = transform
        self.tokenizer = check_tokenizer(tokenizer)
        self.pooling = pooling
        self.context = context
        options = f"{transform} {pooling} context={context} {precision}{' compiled' if compiled else ''}"
        self._fingerprint = fingerprint(model, tokenizer, options)
        self._device = pick_device(device)
        self._dtype = dtype_of(precision)
        self._model = align(model.to(device=self._device, dtype=self._dtype).eval())
        self._photos = BatchRunner(batch_size)
        self._compiled = _compile(self._model) if compiled else None
        self._texts = BatchRunner(text_batch_size)
        self._cache: OrderedDict[PhraseQuery, EncodedPhrase] = OrderedDict()
        self._cache_size = cache_size

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch_size: int = 8,
        pooling: Pooling = "mean",
        context: bool = True,
        compiled: bool = False,
    ) -> "XDetrGrounder":
        """From a checkpoint directory or hub name. Raises CheckpointError."""
        return cls.from_checkpoint(
            load_checkpoint(name),
            device=device,
            precision=precision,
            batch_size=batch_size,
            pooling=pooling,
            context=context,
            compiled=compiled,
        )

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch_size: int = 8,
        pooling: Pooling = "mean",
        context: bool = True,
        compiled: bool = False,
    ) -> "XDetrGrounder":
        """From a loaded checkpoint."""
        return cls(
            checkpoint.model,
            checkpoint.tokenizer,
            PhotoTransform.from_processor(checkpoint.image_processor),
            device=device,
            precision=precision,
            batch_size=batch_size,
            pooling=pooling,
            context=context,
            compiled=compiled,
        )

    def forget(self) -> None:
        """See :class:`Grounder`."""
        self._cache.clear()

    @property
    def dim(self) -> int:
        """Width of the space that objects and phrases share."""
        return int(self._model.config.alignment_dim)

    def fingerprint(self) -> str:
        """See :class:`Grounder`; device and batch size are not part of it."""
        return self._fingerprint

    def prepare(self, photo: Image) -> PreparedPhoto:
        """RGB, resized unless a GPU is to do that; safe in threads. Raises PhotoError."""
        return self.transform.prepare(photo, leave_resizing=self._device.type == "cuda")

    def encode_photos(self, photos: Sequence[PreparedPhoto]) -> list[EncodedPhoto]:
        """Objects and boxes of every photo. Raises OutOfMemoryError when one alone is too large."""
        return self._photos.run(photos, self._encode_batch)

    def encode_phrases(self, phrases: Sequence[PhraseQuery]) -> list[EncodedPhrase]:
        """Vectors of every phrase; each distinct one is encoded once."""
        found: dict[PhraseQuery, EncodedPhrase] = {}
        for phrase in dict.fromkeys(phrases):
            if phrase in self._cache:
                self._cache.move_to_end(phrase)
                found[phrase] = self._cache[phrase]
        missing = [phrase for phrase in dict.fromkeys(phrases) if phrase not in found]
        found |= self._encode_new(missing)
        for phrase in missing:
            self._cache[phrase] = found[phrase]
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return [found[phrase] for phrase in phrases]

    def ground_prepared(
        self, photos: Sequence[PreparedPhoto], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """See :class:`Grounder`. A photo without phrases is not encoded."""
        check_call(photos, phrases, keep)
        wanted = [index for index, group in enumerate(phrases) if group]
        encoded = dict(zip(wanted, self.encode_photos([photos[i] for i in wanted]), strict=True))
        vectors = iter(self.encode_phrases([phrase for group in phrases for phrase in group]))
        return [
            score(encoded[index], [next(vectors) for _ in group], keep) if group else []
            for index, group in enumerate(phrases)
        ]

    def ground(
        self, photos: Sequence[Image], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """See :class:`Grounder`."""
        return self.ground_prepared([self.prepare(photo) for photo in photos], phrases, keep)

    @torch.inference_mode()
    def _encode_batch(self, photos: Sequence[PreparedPhoto]) -> list[EncodedPhoto]:
        if self._compiled is None:
            batch = self.transform.batch(photos, self._device)
        else:
            full = [*photos, *[photos[-1]] * (self._photos.batch_size - len(photos))]
            batch = self.transform.batch(full, self._device, step=SHAPE_STEP_PX)
        pixels = self.transform.normalise(batch.pixels, batch.mask, self._dtype)
        encode = self._model.encode_image if self._compiled is None else self._compiled
        encoding = encode(pixels, batch.mask)
        objects, boxes, objectness, image = (t.float().cpu().numpy() for t in encoding)
        return [
            EncodedPhoto(
                objects=objects[i],
                boxes_xyxy=to_pixels(boxes[i], photo.size_hw),
                objectness=1 / (1 + np.exp(-objectness[i])),
                image=image[i],
            )
            for i, photo in enumerate(photos)
        ]

    def _encode_new(self, phrases: Sequence[PhraseQuery]) -> dict[PhraseQuery, EncodedPhrase]:
        """Encode texts of similar length together; a text with several phrases once."""
        by_text: dict[str, list[tuple[PhraseQuery, tuple[tuple[int, int], ...]]]] = {}
        longest = self._model.config.max_text_tokens
        seen = windowed(self.tokenizer, phrases, longest) if self.context else [alone(phrase) for phrase in phrases]
        for phrase, part in zip(phrases, seen, strict=True):
            by_text.setdefault(part.text, []).append((phrase, part.spans))
        groups = sorted(by_text.items(), key=lambda item: len(item[0]))
        encoded = self._texts.run(groups, self._encode_texts)
        return {phrase: vectors for part in encoded for phrase, vectors in part.items()}

    @torch.inference_mode()
    def _encode_texts(
        self, groups: Sequence[tuple[str, list[tuple[PhraseQuery, tuple[tuple[int, int], ...]]]]]
    ) -> list[dict[PhraseQuery, EncodedPhrase]]:
        texts = [text for text, _ in groups]
        tokenized = tokenize(self.tokenizer, texts, self._model.config.max_text_tokens)
        ids, attention = tokenized.input_ids.to(self._device), tokenized.attention_mask.to(self._device)
        tokens = self._model.encode_text(ids, attention).tokens.cpu()
        results = []
        for row, (text, members) in enumerate(groups):
            found = {phrase: phrase_tokens(tokenized, row, text, spans) for phrase, spans in members}
            results.append(
                {
                    phrase: EncodedPhrase(vectors=self._pool(tokens[row, list(hit.tokens)]), fit=hit.fit)
                    for phrase, hit in found.items()
                }
            )
        return results

    def _pool(self, tokens_Td: Tensor) -> NDArray[np.float32]:
        if self.pooling == "mean" and len(tokens_Td):
            tokens_Td = nn.functional.normalize(tokens_Td.mean(0, keepdim=True), dim=-1)
        return np.asarray(tokens_Td.numpy(), dtype=np.float32)


def alone(phrase: PhraseQuery) -> PhraseQuery:
    """A phrase whose text is its own words."""
    text = phrase_text(phrase.text, phrase.spans)
    return PhraseQuery(text=text, spans=((0, len(text)),))


def score(photo: EncodedPhoto, phrases: Sequence[EncodedPhrase], keep: int) -> list[Candidates]:
    """Candidates of every phrase by one matrix product of all phrases and all objects."""
    if not phrases:
        return []
    lengths = [len(phrase.vectors) for phrase in phrases]
    products = np.concatenate([phrase.vectors for phrase in phrases]) @ photo.objects.T
    parts = np.split(products, np.cumsum(lengths)[:-1])
    return [
        best(photo.boxes_xyxy, part.max(0), keep, phrase.fit) if len(part) else Candidates(fit=phrase.fit)
        for part, phrase in zip(parts, phrases, strict=True)
    ]


def _compile(model: XDetrModel) -> Callable[[Tensor, Tensor | None], ImageEncoding]:
    """The image tower, compiled anew for each shape, at most ``MOST_SHAPES`` times; then it runs as it is written."""
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_SHAPES)
    compiled: Callable[[Tensor, Tensor | None], ImageEncoding] = torch.compile(model.encode_image, dynamic=False)
    return compiled
