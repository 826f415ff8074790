"""A sample as FiftyOne shows it. What is needed to find a label again is kept with it, read-only in the App."""

from pathlib import Path
from typing import Any

from pipelines.qa.reading import Chosen, says_one, trace_agreement
from xdetr_data.boxes import area_xyxy, normalise_xyxy, xyxy_to_xywh
from xdetr_data.masks import mask_in_box
from xdetr_data.record import GroundedImage, Phrase, Provenance, Query
from xdetr_data.spans import span_text

PHRASES, UNBOXED, REGIONS = "phrases", "unboxed", "regions"  # fields: boxes of phrases, phrases without, textless boxes
LISTS = {PHRASES: "detections", UNBOXED: "classifications", REGIONS: "detections"}
RIGHT, REJECT, WRONG_BOX = "right", "reject", "wrong-box"
VERDICTS = (RIGHT, REJECT, WRONG_BOX)  # tags of reviewers
TEXTLESS = "textless"


def declare_fields(fo: Any, dataset: Any) -> None:
    """Gives a new dataset its fields, those that tell where a label comes from read-only."""
    dataset.add_sample_field("key", fo.StringField, read_only=True)
    dataset.add_sample_field("shard", fo.StringField, read_only=True)
    dataset.add_sample_field("labels_sha256", fo.StringField, read_only=True)
    dataset.add_sample_field("places", fo.ListField, subfield=fo.StringField, read_only=True)
    dataset.add_sample_field("queries", fo.ListField, subfield=fo.StringField, read_only=True)
    for name, inner in LISTS.items():
        kind = fo.Detections if inner == "detections" else fo.Classifications
        dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=kind)
        prefix = f"{name}.{inner}"
        for field in ("place", "imported_label", "source", "annotation_id", "detail"):
            dataset.add_sample_field(f"{prefix}.{field}", fo.StringField, read_only=True)
        if name != REGIONS:
            dataset.add_sample_field(f"{prefix}.query", fo.StringField, read_only=True)
            dataset.add_sample_field(f"{prefix}.span", fo.StringField, read_only=True)
            dataset.add_sample_field(f"{prefix}.agreement", fo.FloatField, read_only=True)
            dataset.add_sample_field(f"{prefix}.boxes", fo.IntField, read_only=True)
            dataset.add_sample_field(f"{prefix}.says_one", fo.BooleanField, read_only=True)
        if name != UNBOXED:
            dataset.add_sample_field(f"{prefix}.area", fo.FloatField, read_only=True)
            dataset.add_sample_field(f"{prefix}.imported_box", fo.ListField, subfield=fo.FloatField, read_only=True)
    dataset.create_index("key", unique=True)


def make_sample(fo: Any, chosen: Chosen, photo: Path, split: str) -> Any:
    """The sample with all its labels; boxes are ``[x, y, width, height]`` in shares of the photo."""
    record = chosen.record
    boxed, unboxed = _phrase_labels(fo, record)
    regions = _textless_labels(fo, record)
    height, width = record.image.size_hw
    return fo.Sample(
        filepath=str(photo),
        tags=[record.image.source, split],
        metadata=fo.ImageMetadata(size_bytes=photo.stat().st_size, width=width, height=height),
        key=record.key,
        shard=chosen.stem,
        labels_sha256=chosen.sha256,
        places=[label.place for label in (*boxed, *unboxed, *regions)],
        queries=[query.text for query in record.queries],
        **{
            PHRASES: fo.Detections(detections=boxed),
            UNBOXED: fo.Classifications(classifications=unboxed),
            REGIONS: fo.Detections(detections=regions),
        },
    )


def _phrase_labels(fo: Any, record: GroundedImage) -> tuple[list[Any], list[Any]]:
    boxed: list[Any] = []
    unboxed: list[Any] = []
    for number, query in enumerate(record.queries):
        for position, phrase in enumerate(query.phrases):
            place = f"queries[{number}].phrases[{position}]"
            common = _about_phrase(query, phrase)
            for region in phrase.regions:
                where = _box_fields(record, region) | {"place": f"{place}.regions[{region}]"}
                boxed.append(fo.Detection(**common, **where))
            if not phrase.regions:
                unboxed.append(fo.Classification(**common, place=place))
    return boxed, unboxed


def _textless_labels(fo: Any, record: GroundedImage) -> list[Any]:
    named = {region for query in record.queries for phrase in query.phrases for region in phrase.regions}
    return [
        fo.Detection(
            label=TEXTLESS,
            imported_label=TEXTLESS,
            place=f"regions[{index}]",
            **_who(region.provenance),
            **_box_fields(record, index),
        )
        for index, region in enumerate(record.regions)
        if index not in named
    ]


def _about_phrase(query: Query, phrase: Phrase) -> dict[str, Any]:
    text = span_text(phrase.spans, query.text)
    return {
        "label": text,
        "imported_label": text,
        "confidence": phrase.score,
        "query": query.text,
        "span": ", ".join(f"{begin}-{end}" for begin, end in phrase.spans),
        "agreement": trace_agreement(phrase),
        "boxes": len(phrase.regions),
        "says_one": says_one(text),
        **_who(phrase.provenance),
    }


def _who(provenance: Provenance) -> dict[str, str]:
    return {
        "source": provenance.source,
        "annotation_id": provenance.annotation_id,
        "detail": provenance.detail,
    }


def _box_fields(record: GroundedImage, region: int) -> dict[str, Any]:
    box_xyxy = normalise_xyxy(record.regions[region].box_xyxy, record.image.size_hw)
    box = list(xyxy_to_xywh(box_xyxy))
    mask = record.regions[region].mask
    seen = mask_in_box(mask, record.image.size_hw, record.regions[region].box_xyxy) if mask else None
    fields = {"bounding_box": box, "imported_box": list(box), "area": float(area_xyxy(box_xyxy))}
    return fields if seen is None else fields | {"mask": seen}
