"""What tells of photos, and how it is read; apart from the process that reads it, which needs spaCy."""

from collections.abc import Callable
from typing import NamedTuple

from xdetr_data.sources.captioned import read_caption
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.localized_narratives import Narrative, parse_narrative


class Telling(NamedTuple):
    """What the elements are called that tell of photos, and how their bytes are read (a function of a module)."""

    unit: str
    parse: Callable[[bytes], Narrative | Unreadable]


def parse_caption(data: bytes) -> Narrative | Unreadable:
    """A caption as a narrative that nobody spoke."""
    return Narrative(dataset_id="", image_id="", caption=read_caption(data))


NARRATIVES, CAPTIONS = Telling("narrative", parse_narrative), Telling("caption", parse_caption)
