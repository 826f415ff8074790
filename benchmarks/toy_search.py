"""How often search finds the instance that words mean, among all photos of a toy world that the model never saw.

    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    xdetr-search index coco=unseen/photos/coco vg=unseen/photos/vg flickr=unseen/photos/flickr \\
      openimages=unseen/photos/openimages --ckpt toy --out index
    python -m benchmarks.toy_search --index index --world unseen

Every phrase that the truth gives one object is a query: ``attribute`` its words alone tell which object of its photo,
``held_out`` the same with attributes never seen together in training, ``relation`` the rest of its sentence must tell.
Many photos show what such words say. So two tables: the instance itself and, for words that name attributes alone, any
object of any photo that has all the attributes that are said (colour, shape, pattern, size).
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.labelling.grounding import Phrase
from pipelines.search.database import Database, Hit, open_database
from pipelines.search.encoder import QueryEncoder
from pipelines.search.evaluate import KS, LEAST_IOU, Expression, measure
from pipelines.search.flags import SAME_IOU
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.toyworld import vocabulary
from xdetr_data.toyworld.truth import ObjectTruth, PhotoTruth, TextTruth, read_truth


def expressions_of(photos: Iterable[PhotoTruth]) -> Iterator[Expression]:
    """The queries of a world."""
    for photo in photos:
        for text in photo.texts:
            yield from _of_text(photo, text)


def _of_text(photo: PhotoTruth, text: TextTruth) -> Iterator[Expression]:
    for begin, end in text.sentences:
        for phrase in text.phrases:
            if not (begin <= phrase.span[0] and phrase.span[1] <= end) or len(phrase.objects) != 1:
                continue
            [box] = photo.boxes_xyxy(phrase)
            is_held_out = photo.objects[phrase.objects[0]].held_out and phrase.kind == "attribute"
            spans = ((phrase.span[0] - begin, phrase.span[1] - begin),)
            yield Expression(
                phrase=Phrase(text.text[begin:end], spans),
                key=photo.key,
                box_xyxy=tuple(map(float, box)),  # type: ignore[arg-type]
                kinds=("held_out" if is_held_out else phrase.kind,),
            )


def attributes_said(words: str, seen: ObjectTruth) -> tuple[tuple[str, str], ...]:
    """The attributes of an object that a phrase names, such as (("colour", "red"), ("shape", "star"))."""
    told = f" {words.lower()} ".replace("-coloured", "")
    names: dict[str, tuple[str, ...]] = {
        "colour": vocabulary.COLOUR[seen.colour].words,
        "shape": tuple(noun for noun, _ in vocabulary.SHAPE[seen.shape].nouns),
        "pattern": (*vocabulary.PATTERN_ADJECTIVES[seen.pattern], *vocabulary.PATTERN_TAILS[seen.pattern]),
        "size": vocabulary.SIZE_WORDS[seen.size],
    }
    return tuple((name, getattr(seen, name)) for name, said in names.items() if any(f" {one} " in told for one in said))


def fitting(
    database: Database, encoder: QueryEncoder, asked: Sequence[Expression], photos: Mapping[str, PhotoTruth]
) -> dict[str, list[float]]:
    """By kind, of how many expressions one of the 1, 5 and 10 best answers has all the attributes that are said."""
    found: dict[str, list[list[bool]]] = {}
    vectors = encoder.phrases([one.phrase for one in asked])
    for one, vector in zip(asked, vectors, strict=True):
        if vector is None or one.kinds == ("relation",):
            continue
        own = next(seen for seen in photos[one.key].objects if tuple(map(float, seen.box_xyxy)) == one.box_xyxy)
        [(begin, end)] = one.phrase.spans
        said = attributes_said(one.phrase.text[begin:end], own)
        fits = [_fits(photos[hit.key], hit, said) for hit in database.answers(vector, max(KS), same_iou=SAME_IOU)]
        found.setdefault(one.kinds[0], []).append([any(fits[:k]) for k in KS])
    return {kind: [sum(column) / len(rows) for column in zip(*rows, strict=True)] for kind, rows in found.items()}


def _fits(photo: PhotoTruth, hit: Hit, said: Sequence[tuple[str, str]]) -> bool:
    overlaps = iou_matrix_xyxy([hit.box_xyxy], [tuple(map(float, seen.box_xyxy)) for seen in photo.objects])[0]
    return any(
        overlap >= LEAST_IOU and all(getattr(seen, name) == value for name, value in said)
        for overlap, seen in zip(overlaps, photo.objects, strict=True)
    )


def main() -> None:
    """Prints two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="ask only every so many-th phrase")
    flags = parser.parse_args()
    database = open_database(flags.index)
    encoder = QueryEncoder(database.index, ckpt=None, device="cpu")
    photos = {one.key: one for path in sorted((flags.world / "truth").glob("*.jsonl")) for one in read_truth(path)}
    expressions = list(expressions_of(photos.values()))[:: flags.every]
    found = measure(database, encoder, expressions, "toy world", same_iou=SAME_IOU)
    [table] = found.tables
    print(_markdown(table.columns, table.rows))
    there = database.holds({one.key for one in expressions})
    rows = fitting(database, encoder, [one for one in expressions if one.key in there], photos)
    print(_markdown(["", *(f"fits@{k}" for k in KS)], [[kind, *values] for kind, values in sorted(rows.items())]))
    print(found.measured)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [f"{one:.3f}" if isinstance(one, float) else f"{one:,}" if isinstance(one, int) else one for one in row]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
