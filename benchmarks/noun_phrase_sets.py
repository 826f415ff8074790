"""The sets that noun phrases are judged on: text with the spans of what must be found."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.data.labelled import labelled_sentences
from xdetr_data.spans import Span

OPENINGS = (
    "In this image I can see ",
    "In the background, ",
    "At the bottom, ",
    "Here, there is ",
    "In the middle of the image there is ",
    "On the left side, ",
)
#: Things of COCO's captions that are not COCO categories.
_THINGS = (
    "man woman boy girl child people men women children kids baby chef stove counter table windows cabinets bathtub "
    "shower helmet hat bike bikes street road trees building kitten"
)
_MARK = re.compile(r"(\[/EN#\S+ |\])")
_SPACE_BEFORE = re.compile(r" (?=[,.;:!?]|'s\b|' )")


@dataclass(frozen=True, slots=True)
class Case:
    """A text, what names an object in it, and whether that is all that does, as whole phrases."""

    text: str
    phrases: tuple[Span, ...]
    is_complete: bool


def sets(fixtures: Path) -> Iterator[tuple[str, list[Case]]]:
    """Every set that can be made from what is there."""
    labelled = labelled_sentences()
    for kind in ("paper", "narrative", "caption", "fragment", "later"):
        yield (
            f"labelled: {kind}",
            [Case(s.text, tuple(p.span for p in s.phrases), True) for s in labelled if s.kind == kind],
        )
    yield "labelled: all", [Case(s.text, tuple(p.span for p in s.phrases), True) for s in labelled]
    if (fixtures / "derived/open_images").exists():
        yield "derived narratives", list(_derived(fixtures / "derived/open_images"))
    if (fixtures / "coco/annotations/captions_train2017.json").exists():
        captions = list(_coco(fixtures / "coco/annotations"))
        yield "COCO captions", captions
        yield "COCO captions, spoken", [_open(case, opening) for case in captions for opening in OPENINGS]
    if (fixtures / "flickr30k_entities/Sentences").exists():
        sentences = list(_flickr(fixtures / "flickr30k_entities/Sentences"))
        yield "Flickr30k Entities", sentences
        yield "Flickr30k Entities, spoken", [_open(case, "In the background, ") for case in sentences]


def _open(case: Case, opening: str) -> Case:
    """The text behind a narrative's opening words."""
    text = opening + case.text[:1].lower() + case.text[1:]
    return Case(text, tuple((b + len(opening), e + len(opening)) for b, e in case.phrases), case.is_complete)


def _derived(folder: Path) -> Iterator[Case]:
    captions = {}
    for file in folder.glob("*_localized_narratives-*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            narrative = json.loads(line)
            captions[narrative["image_id"]] = narrative["caption"]
    for line in (folder / "locnar_truth.jsonl").read_text(encoding="utf-8").splitlines():
        truth = json.loads(line)
        yield Case(captions[truth["image_id"]], tuple((m["start"], m["end"]) for m in truth["mentions"]), False)


def _coco(folder: Path) -> Iterator[Case]:
    """Names of COCO categories and other things in the captions: no whole phrases, and not all."""
    categories = json.loads((folder / "instances_train2017.json").read_text(encoding="utf-8"))["categories"]
    names = sorted({category["name"] for category in categories} | set(_THINGS.split()), key=len, reverse=True)
    named = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})s?\b", re.IGNORECASE)
    for one in json.loads((folder / "captions_train2017.json").read_text(encoding="utf-8"))["annotations"]:
        text = " ".join(one["caption"].split())
        yield Case(text, tuple(match.span() for match in named.finditer(text)), False)


def _flickr(folder: Path) -> Iterator[Case]:
    """Sentences written as people write, with the phrases that the annotators marked as visual."""
    for file in sorted(folder.glob("*.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            text, phrases, begin = "", [], -1
            for part in _MARK.split(_SPACE_BEFORE.sub("", line.strip())):
                if part.startswith("[/EN#"):
                    begin = -1 if "notvisual" in part else len(text)
                elif part == "]":
                    phrases += [(begin, len(text))] if begin >= 0 else []
                else:
                    text += part
            yield Case(text, tuple(phrases), True)
