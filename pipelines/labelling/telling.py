"""What tells of photos, and how it is read; apart from the process that reads it, which needs spaCy."""

from collections.abc import Callable
from typing import NamedTuple

from xdetr_data.record import GroundedImage
from xdetr_data.sources.captioned import read_caption
from xdetr_data.sources.dataset_records import parse_dataset_record
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.localized_narratives import Narrative, parse_narrative


class Telling(NamedTuple):
    """What the elements are called that tell of photos, and how their bytes are read (a function of a module).

    Where ``prompts`` are given every photo is asked for these, whatever its elements hold. An element that
    ``is_record`` is one of a finished dataset: its queries are the sentences, as they stand there.
    """

    unit: str
    parse: Callable[[bytes], Narrative | GroundedImage | Unreadable]
    prompts: tuple[str, ...] = ()
    is_record: bool = False


def parse_caption(data: bytes) -> Narrative | Unreadable:
    """A caption as a narrative that nobody spoke."""
    return Narrative(dataset_id="", image_id="", caption=read_caption(data))


def prompting(prompts: tuple[str, ...]) -> Telling:
    """Asks every photo for the same texts; its element is the question."""
    return Telling("question", parse_caption, prompts)


NARRATIVES, CAPTIONS = Telling("narrative", parse_narrative), Telling("caption", parse_caption)
RECORDS = Telling("record", parse_dataset_record, is_record=True)
