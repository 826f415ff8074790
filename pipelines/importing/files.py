"""Which files an import reads, and whose photos they are of."""

import re
from collections.abc import Sequence

from pipelines.engine.outcome import READ, PhotoToBuild
from pipelines.recipe_options import ImportOptions
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.record import Rejected
from xdetr_data.sources.elements import PhotoElements
from xdetr_data.sources.framing.files import locate
from xdetr_data.sources.places import NoPhotos, Places, Roots
from xdetr_data.sources.protocol import input_label
from xdetr_data.storage import Folder

_COLLECTION = re.compile(r"[a-z0-9]{1,24}")


def files_of(options: ImportOptions, patterns: Sequence[str]) -> list[str]:
    """The files of the format, of a folder those in it whose names fit; raises InputError where it holds none."""
    found: list[str] = []
    for path in options.inputs:
        fs, name = locate(path, or_folder=True)
        if not fs.isdir(name):
            found.append(path)
            continue
        names = [one for pattern in patterns for one in Folder(path).names(pattern)]
        if not names:
            raise InputError(f"{path}: holds no {' or '.join(patterns)}; check the address and --from")
        found += [f"{path.rstrip('/')}/{one}" for one in names]
    return found


def collection_of(path: str, options: ImportOptions) -> str:
    """The collection of all photos of a file: what the options say, or of a folder's files their own names.

    Raises ConfigError where nothing says it.
    """
    name = said_collection(options) if path in options.inputs else options.source or input_label(path)
    if not _COLLECTION.fullmatch(name):
        raise ConfigError(f"{path}: nothing says whose photos it is of: give --source NAME, as coco, vg or flickr")
    return name


def said_collection(options: ImportOptions) -> str:
    """What the options say of all photos, or nothing: ``--source``, or the only name of ``--image-root``."""
    names = [name for name in options.image_root if name != "any"]
    return options.source or (names[0] if len(names) == 1 else "")


def photos_of(options: ImportOptions) -> Places:
    """Where the photos are."""
    return NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root")


def of_another_size(photo: PhotoToBuild, elements: PhotoElements) -> list[Rejected]:
    """Rejects of the photo with all its elements where it has not the size that boxes in pixels are of."""
    if photo.image.size_hw == photo.stated_hw:
        return []
    (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
    detail = f"the labels say {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
    return elements.rejected(photo.key, READ, "size-mismatch", detail)
