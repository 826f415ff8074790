"""The record as Arrow row and as JSON: one codec, one version number.

``sample_json_schema()`` is published as ``docs/sample.schema.json``.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa

from xdetr_data.errors import RecordError
from xdetr_data.record import KEY, GroundedImage, ImageRef, Query, Region, Rejected

SCHEMA_VERSION: Literal[1] = 1


class ImageJson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which photo: its name at its source, its size in pixels, sha256 of its bytes (null where it was not read)."""

    file_name: str
    source: str
    height: Annotated[int, msgspec.Meta(ge=1)]
    width: Annotated[int, msgspec.Meta(ge=1)]
    sha256: str | None


class SampleJson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a sample, field for field and in this order."""

    schema: Literal[1]
    key: Annotated[str, msgspec.Meta(pattern=f"^{KEY.pattern}$")]
    image: ImageJson
    regions: tuple[Region, ...]
    queries: tuple[Query, ...]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(SampleJson)

_PROVENANCE = pa.struct([("source", pa.string()), ("annotation_id", pa.string()), ("detail", pa.string())])
_REGION = [("box_xyxy", pa.list_(pa.float64(), 4)), ("is_crowd", pa.bool_()), ("provenance", _PROVENANCE)]
SAMPLE_ARROW_SCHEMA = pa.schema(
    [
        pa.field("schema", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field(
            "image",
            pa.struct(
                [
                    ("file_name", pa.string()),
                    ("source", pa.string()),
                    ("height", pa.int32()),
                    ("width", pa.int32()),
                    ("sha256", pa.string()),
                ]
            ),
            nullable=False,
        ),
        pa.field("regions", pa.list_(pa.struct([*_REGION, ("mask", pa.string())])), nullable=False),
        pa.field(
            "queries",
            pa.list_(
                pa.struct(
                    [
                        ("text", pa.string()),
                        ("group", pa.string()),
                        ("is_exhaustive", pa.bool_()),
                        (
                            "phrases",
                            pa.list_(
                                pa.struct(
                                    [
                                        ("spans", pa.list_(pa.list_(pa.int32(), 2))),
                                        ("regions", pa.list_(pa.int32())),
                                        ("score", pa.float64()),
                                        ("provenance", _PROVENANCE),
                                    ]
                                )
                            ),
                        ),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)
# That of datasets from before there were masks, which are read as ever.
MASKLESS_ARROW_SCHEMA = SAMPLE_ARROW_SCHEMA.set(
    SAMPLE_ARROW_SCHEMA.get_field_index("regions"),
    pa.field("regions", pa.list_(pa.struct(_REGION)), nullable=False),
)
REJECTED_ARROW_SCHEMA = pa.schema([(name, pa.string()) for name in Rejected.__struct_fields__])
# Possible boundaries of a paragraph that the evidence neither proves nor excludes, and how they were decided.
AMBIGUOUS_CUT_ARROW_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("group", pa.string()),
        ("offset", pa.int32()),
        ("is_cut", pa.bool_()),
        ("caption", pa.string()),
    ]
)


def _to_wire(sample: GroundedImage) -> SampleJson:
    image = sample.image
    return SampleJson(
        schema=SCHEMA_VERSION,
        key=sample.key,
        image=ImageJson(
            file_name=image.file_name,
            source=image.source,
            height=image.size_hw[0],
            width=image.size_hw[1],
            sha256=image.sha256,
        ),
        regions=sample.regions,
        queries=sample.queries,
    )


def _from_wire(wire: SampleJson) -> GroundedImage:
    image = wire.image
    return GroundedImage(
        key=wire.key,
        image=ImageRef(
            file_name=image.file_name, source=image.source, size_hw=(image.height, image.width), sha256=image.sha256
        ),
        regions=wire.regions,
        queries=wire.queries,
    )


def to_json(sample: GroundedImage) -> bytes:
    """The sample as one JSON object in UTF-8; ``from_json`` inverts it."""
    return _ENCODER.encode(_to_wire(sample))


def from_json(data: bytes | str) -> GroundedImage:
    """The sample that ``to_json`` wrote; raises RecordError for anything else, saying where it differs."""
    try:
        return _from_wire(_DECODER.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not a sample of schema {SCHEMA_VERSION}: {error}") from error


def to_row(sample: GroundedImage) -> dict[str, Any]:
    """The sample as one Arrow row in python values."""
    row: dict[str, Any] = msgspec.to_builtins(_to_wire(sample))
    return row


def to_arrow(samples: Sequence[GroundedImage]) -> pa.Table:
    """Samples as a table of ``SAMPLE_ARROW_SCHEMA``, one row each; ``from_arrow`` inverts it."""
    return pa.Table.from_pylist([to_row(sample) for sample in samples], schema=SAMPLE_ARROW_SCHEMA)


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows in python values as ``to_row`` makes them: Arrow's null masks are left out."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for region in row["regions"] or ():
            if region is not None and region.get("mask", "") is None:
                del region["mask"]
    return rows


def from_arrow(table: pa.Table) -> list[GroundedImage]:
    """The samples that ``to_arrow`` wrote; raises RecordError where a row is not a sample."""
    try:
        return [_from_wire(msgspec.convert(row, SampleJson)) for row in rows_of(table)]
    except msgspec.ValidationError as error:
        raise RecordError(f"not rows of schema {SCHEMA_VERSION}: {error}") from error


def rejects_to_arrow(rejects: Sequence[Rejected]) -> pa.Table:
    """Rejects as a table of ``REJECTED_ARROW_SCHEMA``, one row each."""
    return pa.Table.from_pylist([msgspec.to_builtins(reject) for reject in rejects], schema=REJECTED_ARROW_SCHEMA)


def sample_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a sample's JSON, as published under docs/."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A sample of an X-DETR dataset, schema {SCHEMA_VERSION}",
        **msgspec.json.schema(SampleJson),
    }


if __name__ == "__main__":
    import sys

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(sample_json_schema()), indent=2) + b"\n")
