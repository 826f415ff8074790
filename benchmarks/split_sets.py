"""Paragraph sets with known truth for the split benchmark: one derived fixture, and others packed here."""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.lang.en.stop_words import STOP_WORDS

from benchmarks import split_texts
from xdetr_data.spans import Span
from xdetr_data.toyworld.packing import Expression, pack_expressions

PHOTOS = 150
SHARE_WITHOUT_BOX = 0.02
SHARE_OF_QUESTIONS = 0.1
BARE_WORD = re.compile(r"[^\W_](?:\S*[^\W_])?")
CONTENT_WORD = re.compile(r"[^\W\d_]{3,}")
FLICKR_PHRASE = re.compile(r"\[/EN#(\d+)/\S+ ([^\]]*)\]")

Said = tuple[str, tuple[Span, ...] | None]  # a text and its phrases; None: content words get a box at random


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A paragraph with its truth; negative words without their own marks ("no") and with them ("no.")."""

    caption: str
    annotations: tuple[tuple[Span, ...], ...]
    negatives_bare: tuple[Span, ...]
    negatives_kept: tuple[Span, ...]
    sentences: tuple[Span, ...]


def phrases_of(marked: str, pattern: re.Pattern[str], word_group: int) -> Said:
    """Text without its markup, and the spans of what was marked."""
    text, begin, phrases = "", 0, []
    for match in pattern.finditer(marked):
        text += marked[begin : match.start()]
        if match[1] != "0":  # EN#0 is not visual
            phrases.append((len(text), len(text) + len(match[word_group])))
        text += match[word_group]
        begin = match.end()
    return text + marked[begin:], tuple(phrases)


def written(lines: str) -> list[Said]:
    """Expressions of ``split_texts``."""
    return [phrases_of(line, re.compile(r"\[([^\]]*)\]"), 1) for line in lines.splitlines() if line]


def coco_captions(fixtures: Path) -> list[Said]:
    """Captions of people, as they wrote them."""
    document = json.loads((fixtures / "coco/annotations/captions_train2017.json").read_text(encoding="utf-8"))
    return [(annotation["caption"].strip(), None) for annotation in document["annotations"]]


def flickr_sentences(fixtures: Path) -> list[Said]:
    """Sentences with their real phrases."""
    files = sorted((fixtures / "flickr30k_entities/Sentences").glob("*.txt"))
    lines = (line for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return [phrases_of(line.strip(), FLICKR_PHRASE, 2) for line in lines if line.strip()]


def conceptual_captions(fixtures: Path) -> list[Said]:
    """Captions from the web, tokenised and all lower case."""
    (table,) = (fixtures / "conceptual_captions").glob("*.tsv")
    return [(line.split("\t")[0], None) for line in table.read_text(encoding="utf-8").splitlines()]


def narrative_sentences(fixtures: Path) -> list[Said]:
    """Sentences of Localized Narratives."""
    (file,) = (fixtures / "derived/open_images").glob("*localized_narratives*.jsonl")
    captions = (json.loads(line)["caption"] for line in file.read_text(encoding="utf-8").splitlines())
    parts = (part.strip() for caption in captions for part in re.split(r"(?<=\.) (?=[AIO][tn] )", caption))
    return [(part, None) for part in parts if part]


def derived_cases(fixtures: Path) -> list[Case]:
    """The derived fixture with its truth; bare words are made from its own."""
    document = json.loads((fixtures / "derived/final_mixed_train.json").read_text(encoding="utf-8"))
    annotations: dict[int, list[tuple[Span, ...]]] = {}
    for annotation in document["annotations"]:
        annotations.setdefault(annotation["image_id"], []).append(tuple(map(tuple, annotation["tokens_positive"])))
    truth = {}
    for line in (fixtures / "derived/mixed_truth.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        truth[row["id"]] = row["sentences"]
    cases = []
    for image in document["images"]:
        caption = image["caption"]
        kept = tuple(map(tuple, image["tokens_negative"]))
        bare = (BARE_WORD.search(caption, *span) for span in kept if " " not in caption[slice(*span)])
        ends = [len(" ".join(truth[image["id"]][: count + 1])) for count in range(len(truth[image["id"]]))]
        cases.append(
            Case(
                caption=caption,
                annotations=tuple(annotations.get(image["id"], ())),
                negatives_bare=(
                    *(span for span in kept if " " in caption[slice(*span)]),
                    *(match.span() for match in bare if match),
                ),
                negatives_kept=kept,
                sentences=tuple(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)),
            )
        )
    return cases


def expression_of(said: Said, dice: random.Random) -> Expression:
    """One drawing: random boxes, phrases whole or only their last word, a few without any box."""
    text, phrases = said
    if phrases is None:
        words = [match.span() for match in CONTENT_WORD.finditer(text) if match[0].lower() not in STOP_WORDS]
        phrases = tuple(sorted(dice.sample(words, min(len(words), dice.randint(1, 3)))))
    if dice.random() < SHARE_WITHOUT_BOX:
        phrases = ()
    spans, boxes = [], []
    for begin, end in phrases:
        words = [match.span() for match in BARE_WORD.finditer(text, begin, end)] or [(begin, end)]
        spans.append(tuple(words[-1:] if dice.random() < 0.5 else words))
        x, y = dice.uniform(0, 560), dice.uniform(0, 400)
        boxes.append((x, y, x + dice.uniform(15, 200), y + dice.uniform(15, 200)))
    return Expression(
        text=text, boxes_xyxy=tuple(boxes), spans_char=tuple(spans), is_question=text.endswith("?") and " ?" not in text
    )


def packed_cases(plain: list[Said], marked: list[Said], share_marked: float, *, lower: bool = False) -> list[Case]:
    """Paragraphs of ``plain`` text with a share of expressions that hold marks, and a tenth of questions."""
    dice = random.Random(f"{len(plain)} {len(marked)} {share_marked} {lower}")
    questions = written(split_texts.QUESTIONS)
    cases = []
    for _ in range(PHOTOS):
        expressions = []
        for _ in range(dice.randint(15, 40)):
            drawn = dice.random()
            is_question = drawn > 1 - SHARE_OF_QUESTIONS
            text, phrases = dice.choice(marked if drawn < share_marked else questions if is_question else plain)
            expressions.append(expression_of((text.lower() if lower else text, phrases), dice))
        bare = pack_expressions(expressions)
        kept = pack_expressions(expressions, keep_word_marks=True)
        cases += [
            Case(
                caption=one.caption,
                annotations=tuple(annotation.spans_char for annotation in one.annotations),
                negatives_bare=one.tokens_negative,
                negatives_kept=other.tokens_negative,
                sentences=one.sentences,
            )
            for one, other in zip(bare, kept, strict=True)
        ]
    return cases


def sets(fixtures: Path) -> Iterator[tuple[str, list[Case]]]:
    """Every set that can be made here, with its name."""
    seen, held_out = written(split_texts.SEEN + split_texts.SEEN_LATER), written(split_texts.HELD_OUT)
    plain = written(split_texts.PLAIN)
    if (fixtures / "derived/final_mixed_train.json").exists():
        yield "derived fixture", derived_cases(fixtures)
    sources: list[tuple[str, str, Callable[[Path], list[Said]], list[Said]]] = [
        ("COCO captions + seen", "coco/annotations", coco_captions, seen),
        ("narrative sentences + seen", "derived/open_images", narrative_sentences, seen),
        ("Flickr30k sentences + held out", "flickr30k_entities/Sentences", flickr_sentences, held_out),
        ("Conceptual Captions + held out", "conceptual_captions", conceptual_captions, held_out),
    ]
    for name, folder, read, marked in sources:
        if (fixtures / folder).exists():
            yield name, packed_cases(read(fixtures), marked, 0.1)
    yield "region descriptions + seen", packed_cases(plain, seen, 0.06)
    yield "region descriptions + held out", packed_cases(plain, held_out, 0.06)
    yield "the same, all lower case", packed_cases(plain, held_out, 0.06, lower=True)
    yield "held out, twice as many", packed_cases(plain, held_out, 0.12)
    yield "expressions of several sentences", packed_cases(plain, written(split_texts.SEVERAL), 0.05)
