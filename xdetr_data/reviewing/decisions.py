"""What reviewers decided about labels: one row of ``review.parquet`` is one decision about one label.

A label is a phrase's box (``query``, ``phrase`` and ``region`` are set), a phrase without a box (``region`` is None),
or a textless box (only ``region`` is set). The numbers are places in the sample's record as it was reviewed, which
``sample_sha256`` pins: a decision about a sample that changed since is never guessed into place.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xdetr_data.boxes import Box
from xdetr_data.errors import InputError
from xdetr_data.storage import Folder

Action = Literal["right", "reject", "wrong-box", "edit-box", "edit-label", "new-label"]
REVIEW_VERSION: Literal[1] = 1

_METADATA = b"xdetr-review"


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One decision. ``text`` is the label as it was reviewed; ``box_xyxy`` (pixels of the original photo) and ``label``
    are what it becomes, where a box or a label was edited.

    ``sample_sha256`` is of the bytes of ``<key>.json``. ``reviewer`` is who decided, "" where nobody said;
    ``decided_at`` when the photo was last changed in the App (UTC, to the second), which is no earlier.
    """

    key: str
    sample_sha256: str
    query: int | None
    phrase: int | None
    region: int | None
    action: Action
    text: str
    box_xyxy: Box | None = None
    label: str | None = None
    reviewer: str = ""
    decided_at: str | None = None

    @property
    def place(self) -> str:
        """Where the label stands in the sample, as ``queries[3].phrases[1].regions[2]``."""
        parts = {"queries": self.query, "phrases": self.phrase, "regions": self.region}
        return ".".join(f"{name}[{index}]" for name, index in parts.items() if index is not None)


class Reviewed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was reviewed: the FiftyOne dataset, and the configuration hash of the dataset that it was made from."""

    version: Literal[1] = REVIEW_VERSION
    name: str
    config_hash: str


DECISION_ARROW_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("sample_sha256", pa.string()),
        ("query", pa.int32()),
        ("phrase", pa.int32()),
        ("region", pa.int32()),
        ("action", pa.string()),
        ("text", pa.string()),
        ("box_xyxy", pa.list_(pa.float64(), 4)),
        ("label", pa.string()),
        ("reviewer", pa.string()),
        ("decided_at", pa.string()),
    ]
)
_OF_0_1 = pa.schema(list(DECISION_ARROW_SCHEMA)[:-2])  # without who and when


def write_decisions(folder: Folder, name: str, reviewed: Reviewed, decisions: Iterable[Decision]) -> int:
    """Writes decisions, ordered so that the same ones are the same bytes; returns how many."""
    ordered = sorted(decisions, key=_order)
    rows = [msgspec.to_builtins(one) for one in ordered]
    schema = DECISION_ARROW_SCHEMA.with_metadata({_METADATA: msgspec.json.encode(reviewed)})
    with folder.writing(name) as sink:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return len(ordered)


def _order(one: Decision) -> tuple[str, int, int, int, str]:
    places = (-1 if index is None else index for index in (one.query, one.phrase, one.region))
    query, phrase, region = places
    return one.key, query, phrase, region, one.action


def read_decisions(folder: Folder, name: str) -> tuple[Reviewed, list[Decision]]:
    """What ``write_decisions`` wrote; raises InputError for any other file."""
    path = folder.path(name)
    remedy = "export it again with 'xdetr-data review export'"
    with folder.open(name) as stream:
        try:
            table = pq.read_table(stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path}: is no Parquet file ({error}); {remedy}") from error
    metadata = (table.schema.metadata or {}).get(_METADATA)
    if metadata is None or not any(table.schema.equals(one) for one in (DECISION_ARROW_SCHEMA, _OF_0_1)):
        raise InputError(f"{path}: is no file of review decisions; {remedy}")
    try:
        reviewed = msgspec.json.decode(metadata, type=Reviewed)
        return reviewed, msgspec.convert(table.to_pylist(), list[Decision])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is no file of review decisions of this version ({error}); {remedy}") from error


def by_key(decisions: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Decisions of each sample, in their order."""
    result: dict[str, list[Decision]] = {}
    for one in decisions:
        result.setdefault(one.key, []).append(one)
    return result
