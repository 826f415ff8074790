"""Paragraph sets with known truth for the split benchmark: one derived fixture, and others packed here.

``released`` sets hold the evidence of MDETR's released file (``split_mdetr``); ``stress`` sets hold less than any known
file does.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.lang.en.stop_words import STOP_WORDS
from spacy.language import Language

from benchmarks import split_fresh, split_texts
from benchmarks.split_mdetr import Parsed, bare_spans, boxed, parsed
from xdetr_data.boxes import Box, xywh_to_xyxy
from xdetr_data.spans import Span, join_spans, shift_spans
from xdetr_data.stages.splitting.shared_boxes import hulls_of_overlapping
from xdetr_data.toyworld.packing import Expression, pack_expressions

PHOTOS = 150
SHARE_WITHOUT_BOX = 0.02
SHARE_OF_QUESTIONS = 0.1
SHARE_OF_QUESTIONS_WITHOUT_BOX = 0.15
PACKING_IOU = 0.5
BARE_WORD = re.compile(r"[^\W_](?:\S*[^\W_])?")
CONTENT_WORD = re.compile(r"[^\W\d_]{3,}")
FLICKR_PHRASE = re.compile(r"\[/EN#(\d+)/\S+ ([^\]]*)\]")

Said = tuple[str, tuple[Span, ...] | None]  # a text and its phrases; None: content words get a box at random


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A paragraph with its truth.

    ``annotations`` are joined words, as the pipeline hands them on; ``together`` spans those whose boxes overlap;
    ``negatives`` are without their own marks ("no"), ``negatives_kept`` are all words with theirs ("no.").
    """

    caption: str
    annotations: tuple[tuple[Span, ...], ...]
    together: tuple[Span, ...]
    negatives: tuple[Span, ...]
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
    captions = {image["id"]: image["caption"] for image in document["images"]}
    spans: dict[int, list[tuple[Span, ...]]] = {}
    boxes: dict[int, list[Box]] = {}
    for annotation in document["annotations"]:
        words = join_spans(annotation["tokens_positive"], captions[annotation["image_id"]])
        spans.setdefault(annotation["image_id"], []).append(words)
        boxes.setdefault(annotation["image_id"], []).append(xywh_to_xyxy(annotation["bbox"]))
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
                annotations=tuple(spans.get(image["id"], ())),
                together=tuple(
                    hulls_of_overlapping(spans.get(image["id"], []), boxes.get(image["id"], []), PACKING_IOU)
                ),
                negatives=(
                    *(span for span in kept if " " in caption[slice(*span)]),
                    *(match.span() for match in bare if match),
                ),
                negatives_kept=kept,
                sentences=tuple(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)),
            )
        )
    return cases


def released_cases(
    plain: list[Said], marked: list[Said], share_marked: float, language: Language, *, lower: bool = False
) -> list[Case]:
    """Paragraphs as MDETR's scripts make them of ``plain`` text, a share of ``marked`` and a tenth of questions."""
    dice = random.Random(f"{len(plain)} {len(marked)} {share_marked} {lower}")
    texts = {text.lower() if lower else text for text, _ in (*plain, *marked)}
    known = {text: parsed(language(text.lower())) for text in sorted(texts) if len(text.lower()) == len(text)}
    cases = []
    for _ in range(PHOTOS):
        drawn = [draw(plain, marked, share_marked, dice) for _ in range(dice.randint(15, 40))]
        made = [
            question(text, phrases, dice)
            if is_question
            else region(text.lower() if lower else text, known[text.lower() if lower else text], dice)
            for text, phrases, is_question in drawn
            if is_question or (text.lower() if lower else text) in known
        ]
        cases += pack([expression for expression, _ in made], [negatives for _, negatives in made])
    return cases


def stress_cases(plain: list[Said], marked: list[Said], share_marked: float, *, lower: bool = False) -> list[Case]:
    """Paragraphs with less evidence: random boxes, half the phrases boxed by their last word, every word negative."""
    dice = random.Random(f"{len(plain)} {len(marked)} {share_marked} {lower}")
    cases = []
    for _ in range(PHOTOS):
        drawn = [draw(plain, marked, share_marked, dice) for _ in range(dice.randint(15, 40))]
        expressions = [expression_of((text.lower() if lower else text, phrases), dice) for text, phrases, _ in drawn]
        cases += pack(expressions, None)
    return cases


def draw(
    plain: list[Said], marked: list[Said], share_marked: float, dice: random.Random
) -> tuple[str, tuple[Span, ...] | None, bool]:
    """A text, its phrases, and whether it is a question as in GQA."""
    which = dice.random()
    is_question = which > 1 - SHARE_OF_QUESTIONS
    texts = marked if which < share_marked else written(split_texts.QUESTIONS) if is_question else plain
    text, phrases = dice.choice(texts)
    return text, phrases, is_question


def region(text: str, parse: Parsed, dice: random.Random) -> tuple[Expression, tuple[Span, ...]]:
    """A region description or referring expression, and its negative words."""
    spans, boxes, negatives = boxed(parse, dice)
    return Expression(text=text, boxes_xyxy=tuple(boxes), spans_char=tuple(spans)), negatives


def question(
    text: str, phrases: tuple[Span, ...] | None, dice: random.Random
) -> tuple[Expression, tuple[Span, ...] | None]:
    """A question with its objects boxed, some without any; it is negative as a whole."""
    chosen = () if dice.random() < SHARE_OF_QUESTIONS_WITHOUT_BOX else phrases or ()
    boxes = tuple(random_box(dice) for _ in chosen)
    return Expression(text=text, boxes_xyxy=boxes, spans_char=tuple((one,) for one in chosen), is_question=True), None


def random_box(dice: random.Random) -> Box:
    """Anywhere on the photo."""
    x, y = dice.uniform(0, 560), dice.uniform(0, 400)
    return (x, y, x + dice.uniform(15, 200), y + dice.uniform(15, 200))


def expression_of(said: Said, dice: random.Random) -> Expression:
    """One drawing for stress: random boxes, phrases whole or only their last word, a few without any box."""
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
        boxes.append(random_box(dice))
    is_question = text.endswith("?") and " ?" not in text
    return Expression(text=text, boxes_xyxy=tuple(boxes), spans_char=tuple(spans), is_question=is_question)


def pack(expressions: list[Expression], negatives: list[tuple[Span, ...] | None] | None) -> list[Case]:
    """Paragraphs of one photo; ``negatives`` of each expression, or None for all its words or the whole question."""
    cases = []
    bare, kept = pack_expressions(expressions), pack_expressions(expressions, keep_word_marks=True)
    for one, other in zip(bare, kept, strict=True):
        words: tuple[Span, ...] = one.tokens_negative
        if negatives is not None:
            own = [
                shift_spans(given, begin)
                if (given := negatives[index]) is not None
                else [span for span in one.tokens_negative if begin <= span[0] < end]
                for index, (begin, end) in zip(one.expressions, one.sentences, strict=True)
            ]
            words = bare_spans([span for spans in own for span in spans], one.caption)
        spans = [join_spans(annotation.spans_char, one.caption) for annotation in one.annotations]
        boxes = [annotation.box_xyxy for annotation in one.annotations]
        cases.append(
            Case(
                caption=one.caption,
                annotations=tuple(spans),
                together=tuple(hulls_of_overlapping(spans, boxes, PACKING_IOU)),
                negatives=words,
                negatives_kept=other.tokens_negative,
                sentences=one.sentences,
            )
        )
    return cases


Recipe = tuple[str, list[Said], list[Said], float, bool]


def recipes(fixtures: Path) -> Iterator[Recipe]:
    """Name, plain text, text with marks, its share, and whether all is lower case, of every set."""
    seen = written(split_texts.SEEN + split_texts.SEEN_LATER)
    held_out, fresh = written(split_texts.HELD_OUT), written(split_fresh.FRESH)
    plain = written(split_texts.PLAIN)
    sources: list[tuple[str, str, Callable[[Path], list[Said]], list[Said]]] = [
        ("COCO captions + seen", "coco/annotations", coco_captions, seen),
        ("narrative sentences + seen", "derived/open_images", narrative_sentences, seen),
        ("Flickr30k sentences + held out", "flickr30k_entities/Sentences", flickr_sentences, held_out),
        ("Conceptual Captions + held out", "conceptual_captions", conceptual_captions, held_out),
        ("COCO captions + fresh", "coco/annotations", coco_captions, fresh),
        ("Conceptual Captions + fresh", "conceptual_captions", conceptual_captions, fresh),
    ]
    for name, folder, read, marked in sources:
        if (fixtures / folder).exists():
            yield name, read(fixtures), marked, 0.1, False
    yield "region descriptions + seen", plain, seen, 0.06, False
    yield "region descriptions + held out", plain, held_out, 0.06, False
    yield "the same, all lower case", plain, held_out, 0.06, True
    yield "held out, twice as many", plain, held_out, 0.12, False
    yield "region descriptions + fresh", plain, fresh, 0.06, False
    yield "fresh, all lower case", plain, fresh, 0.06, True
    yield "fresh, twice as many", plain, fresh, 0.12, False
    referring: list[Said] = [(text, None) for text, _ in written(split_texts.REFERRING)]
    short = written(split_texts.SHORT)
    yield "referring + numbers and letters", referring, short, 0.03, False
    yield "region descriptions + the same", [*referring, *plain], short, 0.03, True
    yield "several sentences", plain, written(split_texts.SEVERAL), 0.05, False
    yield "several sentences, fresh", plain, written(split_fresh.FRESH_SEVERAL), 0.05, False


def released_sets(fixtures: Path, language: Language) -> Iterator[tuple[str, list[Case]]]:
    """The derived fixture, and sets by MDETR's own rules."""
    if (fixtures / "derived/final_mixed_train.json").exists():
        yield "derived fixture", derived_cases(fixtures)
    for name, plain, marked, share, lower in recipes(fixtures):
        yield name, released_cases(plain, marked, share, language, lower=lower)


def stress_sets(fixtures: Path) -> Iterator[tuple[str, list[Case]]]:
    """The same texts with less evidence."""
    for name, plain, marked, share, lower in recipes(fixtures):
        yield name, stress_cases(plain, marked, share, lower=lower)
