"""Records that can be exported, and how two are compared across a format that cannot say who made them."""

from collections.abc import Iterable

import msgspec
from hypothesis import strategies as st

from tests.strategies import grounded_images
from xdetr_data.exports.project import NOBODY
from xdetr_data.photos.ids import photo_id, photo_key
from xdetr_data.record import GroundedImage, ImageRef


@st.composite
def exchangeable(draw: st.DrawFn) -> GroundedImage:
    """Any record whose photo is called as photos are: odd characters, spans, shared regions, plurals, absences."""
    drawn = draw(grounded_images())
    source, number = draw(st.sampled_from(["coco", "vg", "flickr", "shop"])), draw(st.integers(1, 10**6))
    name = f"cam 1/狗_{number}.jpg" if source == "shop" else f"{number:012d}.jpg"
    image = ImageRef(file_name=name, source=source, size_hw=drawn.image.size_hw)
    return msgspec.structs.replace(drawn, key=photo_key(source, photo_id(source, name)), image=image)


def plain(record: GroundedImage) -> GroundedImage:
    """The record without provenance, groups and sha256, its regions in the order in which phrases name them."""
    order = dict.fromkeys(
        index for query in record.queries for phrase in query.phrases for index in phrase.regions
    ) | dict.fromkeys([])
    order |= dict.fromkeys(index for index in range(len(record.regions)) if index not in order)
    place = {index: number for number, index in enumerate(order)}
    replace = msgspec.structs.replace
    return replace(
        record,
        image=replace(record.image, sha256=None),
        regions=tuple(replace(record.regions[index], provenance=NOBODY) for index in order),
        queries=tuple(
            replace(
                query,
                group="",
                phrases=tuple(
                    replace(one, provenance=NOBODY, regions=tuple(place[index] for index in one.regions))
                    for one in query.phrases
                ),
            )
            for query in record.queries
        ),
    )


def one_a_photo(records: Iterable[GroundedImage]) -> list[GroundedImage]:
    """The first record of each key, ordered by key."""
    return [one for _, one in sorted({record.key: record for record in records}.items())]
