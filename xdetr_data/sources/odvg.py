"""ODVG's JSON lines: a caption with its regions (grounding), or a photo's instances by class (detection).

``{"filename", "height", "width", "grounding": {"caption", "regions": [{"bbox", "phrase", "tokens_positive"}]}}`` or
``{…, "detection": {"instances": [{"bbox", "label", "category"}]}}``, boxes ``[x0, y0, x1, y1]`` in pixels (several of a
phrase: a list of them), ``tokens_positive`` spans of characters, which Open-GroundingDino's files leave out.
A line does not say of which collection its photo is.
Source: mmdetection ``mmdet/datasets/odvg.py``, Open-GroundingDino ``data_format.md``.
"""

from dataclasses import dataclass

import msgspec

from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.region_lines import Line, RegionLines

_NEITHER = "has neither 'grounding' nor 'detection'"


class _Grounding(msgspec.Struct, frozen=True, gc=False):
    caption: str
    regions: list[msgspec.Raw] = []


class _Detection(msgspec.Struct, frozen=True, gc=False):
    instances: list[msgspec.Raw] = []


class _Line(msgspec.Struct, frozen=True, gc=False):
    filename: str
    height: int
    width: int
    grounding: _Grounding | None = None
    detection: _Detection | None = None


_LINE = msgspec.json.Decoder(_Line, strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odvg(RegionLines):
    """A file of ODVG."""

    role = "odvg"
    format = "ODVG"

    @staticmethod
    def parse(data: bytes) -> Line | Unreadable:
        """A line of grounding, of detection, or of both."""
        line = parse_record(_LINE, data)
        if isinstance(line, Unreadable):
            return line
        if line.grounding is None and line.detection is None:
            return Unreadable(problem=_NEITHER)
        said, seen = line.grounding, line.detection
        regions = (said.regions if said is not None else []) + (seen.instances if seen is not None else [])
        caption = said.caption if said is not None else None
        return Line(line.filename, line.height, line.width, caption, regions)
