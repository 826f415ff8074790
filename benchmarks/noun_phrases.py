"""How many objects of a narrative are found, beside spaCy's noun chunks, and what it costs beside the bare pipeline.

    python -m benchmarks.noun_phrases --fixtures FIXTURES --out docs/benchmarks/noun_phrases.md

FIXTURES holds ``derived/open_images``, ``coco/annotations`` and ``flickr30k_entities/Sentences``; what is not there is
left out, and the labelled sentences (``tests/data/labelled_sentences.jsonl``) and the times need none.
"""

import argparse
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Span as Chunk

from benchmarks.noun_phrase_sets import Case, sets
from tests.data.labelled import labelled_sentences
from xdetr_data.spans import Span
from xdetr_data.stages.noun_phrases.not_objects import FARTHEST, NotObjects, PhraseInContext, load_rules
from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases
from xdetr_data.stages.noun_phrases.pipeline import load_pipeline

Finder = Callable[[Sequence[str]], list[list[tuple[Span, str]]]]
_CALL = 512  # captions a call
_ROUNDS = 7


def our_finder(stage: NounPhrases) -> Finder:
    """Spans and head lemmas of the stage's mentions."""

    def find(texts: Sequence[str]) -> list[list[tuple[Span, str]]]:
        return [
            [((s.begin + b, s.begin + e), m.head) for s in sentences for m in s.mentions for b, e in m.spans]
            for sentences in stage(texts)
        ]

    return find


def chunk_finder(nlp: Language, answers: NotObjects | None) -> Finder:
    """spaCy's noun chunks; with ``answers``, without pronouns and what our rules say is no object."""

    def find(texts: Sequence[str]) -> list[list[tuple[Span, str]]]:
        return [
            [
                ((chunk.start_char, chunk.end_char), chunk.root.lemma_.lower())
                for chunk in doc.noun_chunks
                if answers is None or (chunk.root.pos_ != "PRON" and not is_dropped(answers, chunk))
            ]
            for doc in nlp.pipe(texts)
        ]

    return find


def is_dropped(answers: NotObjects, chunk: Chunk) -> bool:
    """Whether a rule of ``not_objects.yaml`` fits a noun chunk."""
    words = [token.lower_ for token in chunk]
    determiners = 0
    while determiners < len(words) - 1 and chunk[determiners].pos_ in ("DET", "NUM", "PRON"):
        determiners += 1
    sentence = chunk.sent
    context = PhraseInContext(
        determiners=words[:determiners],
        others=words[determiners:-1],
        head=words[-1],
        before=[token.lower_ for token in chunk.doc[max(sentence.start, chunk.start - FARTHEST) : chunk.start]],
        after=[token.lower_ for token in chunk.doc[chunk.end : min(sentence.end, chunk.end + FARTHEST)]],
    )
    return answers.rule_for(context) is not None


def score(cases: Sequence[Case], find: Finder) -> tuple[float, float, float, float]:
    """Precision and recall of exact spans, recall of heads, share of the truth inside a phrase.

    A head is found where a phrase that overlaps the labelled one ends with the same word.
    """
    exact = found = labelled = heads = inside = 0
    for case, mentions in zip(cases, find([case.text for case in cases]), strict=True):
        spans = {span for span, _ in mentions}
        found += len(spans)
        for begin, end in case.phrases:
            labelled += 1
            exact += (begin, end) in spans
            heads += any(b < end and begin < e and e == end for b, e in spans)
            inside += any(b <= begin and end <= e for b, e in spans)
    return exact / found, exact / labelled, heads / labelled, inside / labelled


def quality_table(fixtures: Path, finders: dict[str, Finder]) -> str:
    """Markdown, per cent; "-" where a set's truth is not all that is in its text, or is no whole phrase."""
    lines = [
        "| set | labelled | method | precision | recall | F1 | head found | inside a phrase |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for name, cases in sets(fixtures):
        for method, find in finders.items():
            precision, recall, heads, inside = score(cases, find)
            f1 = 2 * precision * recall / (precision + recall)
            cells = [precision, recall, f1, heads] if cases[0].is_complete else []
            shares = [f"{100 * value:.1f}" for value in cells] or ["-"] * 4
            labelled = sum(len(case.phrases) for case in cases)
            lines.append(f"| {name} | {labelled} | {method} | {' | '.join(shares)} | {100 * inside:.1f} |")
    return "\n".join(lines)


def numbers_right(stage: NounPhrases) -> str:
    """Of the labelled phrases that are found: heads, plurality and count as labelled."""
    found = heads = numbers = 0
    for sentence in labelled_sentences():
        mentions = {
            (s.begin + m.spans[0][0], s.begin + m.spans[0][1]): m for s in stage([sentence.text])[0] for m in s.mentions
        }
        for phrase in sentence.phrases:
            mention = mentions.get(phrase.span)
            if mention is not None:
                found += 1
                heads += mention.head == phrase.head
                numbers += (mention.is_plural, mention.count) == phrase.number
    return f"Of {found} labelled phrases that are found, {heads} heads and {numbers} numbers are as labelled."


def spoken_narratives(count: int) -> list[str]:
    """Narratives of two to five labelled sentences."""
    dice = random.Random(0)
    spoken = [sentence.text for sentence in labelled_sentences() if sentence.kind in ("paper", "narrative")]
    return [" ".join(dice.choices(spoken, k=dice.randint(2, 5))) for _ in range(count)]


def speed_table(stage: NounPhrases, with_parser: Language, captions: Sequence[str]) -> str:
    """Processor microseconds per narrative, all methods in turn in one process, medians of the rounds."""
    nlp = load_pipeline(stage.model)

    def bare(language: Language, batch_size: int) -> Callable[[Sequence[str]], object]:
        return lambda texts: sum(len(doc) for doc in language.pipe(texts, batch_size=batch_size))

    methods = {
        "noun phrases": stage,
        "bare, same components and batches (32)": bare(nlp, 32),
        "bare, same components, spaCy's batches (256)": bare(nlp, 256),
        "bare, with the parser, batches of 32": bare(with_parser, 32),
    }
    for method in methods.values():
        method(captions)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(_ROUNDS):
        spent = dict.fromkeys(methods, 0.0)
        for begin in range(0, len(captions), _CALL):
            for name, method in methods.items():
                started = time.process_time()
                method(captions[begin : begin + _CALL])
                spent[name] += time.process_time() - started
        for name, value in spent.items():
            seconds[name].append(value)
    ours = seconds["noun phrases"]
    lines = ["| method | µs per narrative | narratives per second of noun phrases beside it |", "|---|---:|---:|"]
    for name, values in seconds.items():
        ratio = statistics.median(other / own for other, own in zip(values, ours, strict=True))
        lines.append(f"| {name} | {statistics.median(values) / len(captions) * 1e6:.0f} | {100 * ratio:.0f} % |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints; with ``--out`` replaces what stands between the page's markers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixtures", type=Path, default=Path("../shared/fixtures"))
    parser.add_argument("--narratives", type=int, default=2048, help="for the times")
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, help="page whose results are replaced")
    arguments = parser.parse_args()
    stage = NounPhrases(arguments.model)
    stage.load()
    nlp = spacy.load(stage.model, exclude=["ner"])
    finders = {
        "noun chunks": chunk_finder(nlp, None),
        "noun chunks + rules": chunk_finder(nlp, NotObjects(load_rules())),
        "noun phrases": our_finder(stage),
    }
    parts = [
        f"{stage.fingerprint}, Python {sys.version.split()[0]}.",
        quality_table(arguments.fixtures, finders),
        numbers_right(stage),
        speed_table(stage, nlp, spoken_narratives(arguments.narratives)),
    ]
    results = "\n\n".join(parts)
    print(results)
    if arguments.out:
        page = arguments.out.read_text(encoding="utf-8")
        fresh = re.sub(r"(?s)(<!-- results -->\n).*(<!-- end -->)", lambda m: f"{m[1]}{results}\n{m[2]}", page)
        arguments.out.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
