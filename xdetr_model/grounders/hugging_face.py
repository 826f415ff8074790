"""A grounder backed by any zero-shot detector of transformers, for labelling today with published weights."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from transformers import PreTrainedTokenizerBase

from xdetr_model.alignment import align
from xdetr_model.device import BatchRunner, Precision, dtype_of, pick_device
from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.grounders.families import FAMILIES, load_auto
from xdetr_model.grounders.fingerprint import fingerprint
from xdetr_model.grounders.full_boxes import half_precision, keep_boxes_full
from xdetr_model.grounders.protocol import Candidates, PhraseQuery, check_call
from xdetr_model.grounders.zero_shot import Adapter, Detector, Pass, Pooling
from xdetr_model.network.text_tower import check_tokenizer
from xdetr_model.photos import PreparedPhoto, to_rgb
from xdetr_model.weight_files import weights_directory


class HfZeroShotGrounder:
    """See :class:`xdetr_model.grounders.protocol.Grounder`. Scores are probabilities, 0..1.

    ``pooling`` is how the tokens of a phrase make its score (Grounding DINO only); ``context`` reads a phrase in its
    sentence where the detector can (Grounding DINO), or with the sentence's other phrases (OmDet-Turbo). ``masks`` are
    kept where the detector gives them (SAM 3), or left out. ``precision`` is that of the layers: weights and every
    coordinate are float32 (``full_boxes``). Only photos of one input size are batched, because these networks let
    padding leak into results.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: Any,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch_size: int = 4,
        pooling: Pooling = "max",
        context: bool = True,
        masks: bool = True,
    ):
        kind = model.config.model_type
        if kind not in FAMILIES:
            raise CheckpointError(f"a {kind!r} model is no zero-shot detector known here: use {', '.join(FAMILIES)}")
        self._processor = image_processor
        options = f"{image_processor.to_json_string()} {pooling} context={context} {precision}"
        options += "" if masks else " masks=False"
        self._fingerprint = fingerprint(model, check_tokenizer(tokenizer), options)
        target, dtype = pick_device(device), dtype_of(precision)
        detector = Detector(
            model=align(keep_boxes_full(model.to(device=target, dtype=torch.float32).eval())),
            tokenizer=tokenizer,
            device=target,
            pooling=pooling,
            context=context,
            masks=masks,
        )
        self._device, self._dtype = target, dtype
        self._adapter: Adapter = FAMILIES[kind].adapter(detector)
        self._runner = BatchRunner(batch_size)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch_size: int = 4,
        pooling: Pooling = "max",
        context: bool = True,
        masks: bool = True,
    ) -> "HfZeroShotGrounder":
        """From a directory or hub name. Raises CheckpointError."""
        directory = weights_directory(name)
        try:
            kind = json.loads((directory / "config.json").read_bytes())["model_type"]
            load = FAMILIES[kind].load if kind in FAMILIES else load_auto
            model, report, tokenizer, processor = load(directory)
        except Exception as error:  # the library raises whatever its parsers raise
            raise CheckpointError(f"{directory}: is no zero-shot detector that loads ({one_line(error)})") from error
        invented = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        if invented:
            raise CheckpointError(
                f"{directory}: {len(invented)} weights are missing or of another shape and would be random "
                f"(first: {invented[0]}); copy or download the checkpoint again"
            )
        return cls(
            model,
            tokenizer,
            processor,
            device=device,
            precision=precision,
            batch_size=batch_size,
            pooling=pooling,
            context=context,
            masks=masks,
        )

    def forget(self) -> None:
        """See :class:`Grounder`; nothing is kept between calls."""

    def fingerprint(self) -> str:
        """See :class:`Grounder`; device and batch size are not part of it."""
        return self._fingerprint

    def prepare(self, photo: Image) -> PreparedPhoto:
        """RGB and the detector's own image processor; safe in threads. Raises PhotoError."""
        pixels = self._processor(images=to_rgb(photo), return_tensors="np")["pixel_values"][0]
        return PreparedPhoto(pixels=np.asarray(pixels, dtype=np.float32), size_hw=(photo.height, photo.width))

    def ground_prepared(
        self, photos: Sequence[PreparedPhoto], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """See :class:`Grounder`."""
        check_call(photos, phrases, keep)
        results: list[list[Candidates]] = [[Candidates()] * len(group) for group in phrases]
        groups: dict[tuple[int, ...], list[Pass]] = {}
        for place, (photo, group) in enumerate(zip(photos, phrases, strict=True)):
            for job in self._adapter.plan(photo, place, group) if group else []:
                groups.setdefault(self._adapter.company(job), []).append(job)
        for jobs in groups.values():
            for job, found in zip(jobs, self._run(jobs, keep), strict=True):
                for member, candidates in zip(job.members, found, strict=True):
                    results[job.place][member] = candidates
        return results

    def ground(
        self, photos: Sequence[Image], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """See :class:`Grounder`."""
        return self.ground_prepared([self.prepare(photo) for photo in photos], phrases, keep)

    @torch.inference_mode()
    def _run(self, jobs: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        with half_precision(self._device, self._dtype):
            return self._runner.run(jobs, lambda batch: self._adapter.run(batch, keep))
