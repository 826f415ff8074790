"""What siblings are worth: attributes of labels verified, and absences, against the truth of a toy world.

    xdetr-data toyworld --photos 1200 --seed 1000 --out unseen
    python -m benchmarks.verification --world unseen --out out/verification

The narrated OpenImages photos are labelled once with ``--contrasts 10`` by the bundled checkpoint; what each margin and
each bound makes of that trail is judged on the phrases that say an attribute, and on the siblings that are said to be
absent. Of ``noise``, every score of the trail has as much Gaussian noise of its own.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from msgspec.structs import replace

from benchmarks.finetuning import START, call
from benchmarks.label_sources import COLLECTION, Known, narratives, photos_of
from pipelines.labelling.label import label_photo
from pipelines.labelling.options import LabelOptions
from pipelines.labelling.trail import read_grounded
from xdetr_data.manifest import read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.grounded import Candidate, GroundedPhoto
from xdetr_data.stages.contrasts.contrasts import contrasts
from xdetr_data.storage import Folder
from xdetr_data.toyworld.truth import PhotoTruth
from xdetr_data.validation.label_score import LabelScore, join_judgements, judge_labels

MARGINS = (None, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1)
BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5)
NOISES = (0.0, 0.05, 0.1)
SPOKEN = {"spotted": "dotted", "hollow": "outlined", "solid": "plain", "big": "large", "little": "small"}
NEVER = {"brown", "grey", "checked"}  # which no object of the world is
COLOURS = {"red", "blue", "green", "yellow", "white", "black", "orange", "pink", "purple", "cyan"}
PATTERNS, SIZES = {"plain", "striped", "dotted", "outlined"}, {"small", "medium", "large"}


def has_attribute(text: str, span: tuple[int, int]) -> bool:
    """Whether a phrase has siblings."""
    return bool(contrasts(text, [span], 1))


def known_of(photo: PhotoTruth) -> Known:
    """The true mentions that say an attribute."""
    return {text: [one for one in own if has_attribute(text, one.span)] for text, own in narratives(photo).items()}


def with_attribute(record: GroundedImage) -> GroundedImage:
    """The labels of phrases that say an attribute."""
    queries = tuple(
        replace(query, phrases=tuple(one for one in query.phrases if has_attribute(query.text, one.spans[0])))
        for query in record.queries
        if not query.is_exhaustive
    )
    return replace(record, queries=queries)


def noisy(photo: GroundedPhoto, noise: float) -> GroundedPhoto:
    """The same answers, less sure."""

    def shaken(candidates: Sequence[Candidate], tag: object) -> tuple[Candidate, ...]:
        rng = np.random.default_rng(crc32(f"{photo.key} {tag}".encode()))
        moved = [replace(one, score=one.score + noise * float(rng.normal())) for one in candidates]
        return tuple(sorted(moved, key=lambda one: -one.score))

    return replace(
        photo,
        queries=tuple(
            replace(
                query,
                phrases=tuple(
                    replace(
                        phrase,
                        candidates=shaken(phrase.candidates, (number, phrase.spans)),
                        contrasts=tuple(
                            replace(one, candidates=shaken(one.candidates, (number, phrase.spans, one.text)))
                            for one in phrase.contrasts
                        ),
                    )
                    for phrase in query.phrases
                ),
            )
            for number, query in enumerate(photo.queries)
        ),
    )


def judged(trail: Sequence[GroundedPhoto], truths: dict[str, PhotoTruth], margin: float | None) -> LabelScore:
    """The labels with attributes that a margin leaves."""
    rule = LabelOptions(method="multi", attribute_margin=margin)
    found = []
    for one in trail:
        record = label_photo(one, rule).record
        assert record is not None
        found.append(judge_labels(with_attribute(record), known_of(truths[file_of(one)])))
    return join_judgements(found).scores()["all"]


def file_of(one: GroundedPhoto) -> str:
    """What the truth calls the photo."""
    return one.image.file_name.rpartition("/")[2]


def is_there(text: str, photo: PhotoTruth) -> bool:
    """Whether an object of the photo is of the shape that a sibling names, with every attribute that it says."""
    words = {SPOKEN.get(word, word) for word in re.findall(r"[a-z]+", text.lower())}
    named = " ".join(re.findall(r"[a-z]+", text.lower()))

    def fits(said: str, of_all: set[str]) -> bool:
        return said in words or not words & of_all

    return not words & NEVER and any(
        one.shape in named and fits(one.colour, COLOURS) and fits(one.pattern, PATTERNS) and fits(one.size, SIZES)
        for one in photo.objects
    )


def absent(trail: Sequence[GroundedPhoto], truths: dict[str, PhotoTruth], bound: float) -> tuple[int, int]:
    """How many absences a bound makes, and how many of them are there."""
    rule = LabelOptions(method="multi", absent_below=bound)
    said = wrong = 0
    for one in trail:
        record = label_photo(one, rule).record
        assert record is not None
        texts = [query.text for query in record.queries if query.is_exhaustive]
        said += len(texts)
        wrong += sum(is_there(text, truths[file_of(one)]) for text in texts)
    return said, wrong


def rows(world: Path, out: Path) -> Iterator[str]:
    """Both tables; raises CalledProcessError."""
    truths = {one.file_name: one for one in photos_of(world)}
    call("pipelines.cli", "pseudo-label", "locnar", f"--narratives={world}/locnar/open_images_*.jsonl",
         f"--images={COLLECTION}={world}/photos/{COLLECTION}", f"--ckpt={START}", "--contrasts=10", "--method=multi",
         "--workers=0", "--overwrite", f"--out={out}")  # fmt: skip
    folder = Folder(str(out))
    shards = range(len(read_manifest(folder).shards))
    trail = [one for shard in shards for one in read_grounded(folder, shard)]
    yield "| noise | margin | labels | true boxes | precision | recall | F1 |\n|---:|---:|---:|---:|---:|---:|---:|"
    for noise in NOISES:
        shaken = [noisy(one, noise) for one in trail]
        for margin in MARGINS:
            one = judged(shaken, truths, margin)
            scores = f"{100 * one.precision:.1f} | {100 * one.recall:.1f} | {100 * one.f1:.1f}"
            yield f"| {noise} | {'none' if margin is None else margin} | {one.labels:,} | {one.truths:,} | {scores} |"
    yield "\n| bound | absences | of them there | right |\n|---:|---:|---:|---:|"
    for bound in BOUNDS:
        said, wrong = absent(trail, truths, bound)
        yield f"| {bound} | {said:,} | {wrong:,} | {100 * (1 - wrong / max(said, 1)):.1f} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, required=True, help="toy world that the checkpoint was not trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is labelled; emptied")
    flags = parser.parse_args()
    for line in rows(flags.world, flags.out):
        print(line, flush=True)


if __name__ == "__main__":
    main()
