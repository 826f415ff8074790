"""Which public set a toy photo plays in, its split and its names there: a function of the photo's index alone.

As in life one photo belongs to one collection, and a collection feeds several files:

    coco         mixed paragraphs, instances, captions, LVIS, RefCOCO, a third with narratives
    vg           mixed paragraphs only (Visual Genome's photos have no COCO boxes)
    flickr       Flickr30k Entities and MDETR's Flickr files, a third with narratives
    openimages   box CSVs and narratives
    cc           captions and web addresses
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

from xdetr_data.photos.ids import photo_key

Collection = Literal["coco", "vg", "flickr", "openimages", "cc"]
Split = Literal["train", "val", "test"]

# Out of every 40 photos. The collections' real proportions would leave a world of 40 without a Flickr photo.
_SHARES: tuple[tuple[Collection, Split, int], ...] = (
    ("coco", "train", 11), ("coco", "val", 3),
    ("vg", "train", 7), ("vg", "val", 1),
    ("flickr", "train", 4), ("flickr", "val", 1), ("flickr", "test", 1),
    ("openimages", "train", 7), ("openimages", "val", 1), ("openimages", "test", 1),
    ("cc", "train", 3),
)  # fmt: skip
_SLOTS = tuple((collection, split) for collection, split, share in _SHARES for _ in range(share))
CC_SHARD_PHOTOS = 2000  # photos of the world whose cc share is in one tar
_STRIDE = 17  # coprime to 40: neighbours in index are far apart in the table


class Home(NamedTuple):
    """Where a photo lives. `photo_id` is the collection's own id; `file_name` has no folder."""

    collection: Collection
    split: Split
    photo_id: str
    file_name: str

    @property
    def key(self) -> str:
        """The key that this photo's sample has in shards."""
        return photo_key(self.collection, self.photo_id)


def home_of(photo: int) -> Home:
    """The home of the photo with this index."""
    collection, split = _SLOTS[photo * _STRIDE % len(_SLOTS)]
    if collection == "coco":
        number = 139 + 7 * photo
        return Home(collection, split, str(number), f"COCO_{split}2014_{number:012d}.jpg")
    if collection == "vg":
        return Home(collection, split, str(2_300_000 + photo), f"{2_300_000 + photo}.jpg")
    if collection == "flickr":
        number = 100_000_007 + 104_729 * photo
        return Home(collection, split, str(number), f"{number}.jpg")
    if collection == "openimages":
        digest = hashlib.blake2b(f"photo {photo}".encode(), digest_size=8).hexdigest()
        return Home(collection, split, digest, f"{digest}.jpg")
    key = f"{photo // CC_SHARD_PHOTOS:05d}{photo % CC_SHARD_PHOTOS:04d}"  # img2dataset's: shard, number in it
    return Home(collection, split, key, f"{key}.jpg")
