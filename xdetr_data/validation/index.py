"""The index of a shard against its tar: the same samples in the same order, and every offset where the member is."""

from collections.abc import Mapping

from xdetr_data.errors import InputError
from xdetr_data.shards.index import Extent, decode_index, index_name
from xdetr_data.storage import Folder
from xdetr_data.validation.violation import BUILD_AGAIN, COPY_AGAIN, Violation, violation

Members = Mapping[str, Mapping[str, Extent]]


def check_index(folder: Folder, stem: str, found: Members) -> list[Violation]:
    """Compares a shard's index with what its tar holds: key → suffix → offset and length, in the order of the tar."""
    name = index_name(stem)
    if not folder.exists(name):  # the manifest's list of files names it as missing
        return []
    try:
        stated = {place.key: dict(place.members) for place in decode_index(folder.read(name))}
    except (InputError, OSError) as error:
        return [violation(name, "index-unreadable", str(error), remedy=COPY_AGAIN)]
    if list(stated) != list(found):
        odd = next((key for key in [*found, *stated] if (key in found) != (key in stated)), "")
        what = f"lists {len(stated)} samples, {stem}.tar holds {len(found)}" if odd else f"is not in {stem}.tar's order"
        return [violation(name, "index-differs", what, key=odd, remedy=BUILD_AGAIN)]
    return [
        violation(name, "index-differs", f"says {stated[key]}, {stem}.tar has {members}", key=key, remedy=BUILD_AGAIN)
        for key, members in found.items()
        if stated[key] != members
    ]
