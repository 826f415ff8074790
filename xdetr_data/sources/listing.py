"""Which file below an image root is the photo that an annotation means; or that the names do not tell.

A listing finds candidates, files that may be the photo by their names. Of several, the one counts whose name, ending
and folders are the stated ones, then the one of the stated size; files of the same bytes are one photo. If still more
than one is left, nothing is guessed.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image

from xdetr_data.addresses.trees import Tree, list_tree, open_address
from xdetr_data.errors import InputError
from xdetr_data.photos.decoding import open_photo
from xdetr_data.photos.ids import COLLECTIONS, ending_of, file_group, is_of_collection, photo_group, stem_of
from xdetr_data.sources.protocol import Problem, Stated

MISSING, AMBIGUOUS = "missing-photo", "ambiguous-photo"

# Folders of collections whose photos are called by bare numbers, and below a common root would be photos of others.
_HOMES = {"VG_100K": "vg", "VG_100K_2": "vg", "flickr30k-images": "flickr", "flickr30k_images": "flickr"}


class PhotoFile(NamedTuple):
    """A file below a root: its path there, and its size in bytes."""

    tree: Tree
    path: str
    bytes: int

    @property
    def address(self) -> str:
        """Where it can be opened."""
        return self.tree.address(self.path)

    @property
    def folders(self) -> list[str]:
        """The folders that it lies in, those that lead to its root among them."""
        return [*self.tree.folders, *self.path.split("/")[:-1]]


def list_photos(root: str) -> list[PhotoFile]:
    """Every photo at or below an image root, in alphabetical order; raises InputError where the root does not exist."""
    if (listed := list_tree(root)) is None:
        raise InputError(f"image root {root}: there is no such folder; correct --image-root")
    tree, files = listed
    return [PhotoFile(tree, path, size) for path, size in files if ending_of(path)]


@dataclass(frozen=True, slots=True)
class Listing:
    """The photos of one source, found below its roots; ``groups`` are files that may be one photo."""

    source: str
    groups: Mapping[str, Sequence[PhotoFile]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, files: Iterable[PhotoFile]) -> "Listing":
        """The listing of these files."""
        groups: dict[str, list[PhotoFile]] = {}
        for file in files:
            groups.setdefault(file_group(source, file.path), []).append(file)
        return cls(source, groups)

    def find(self, identity: str, stated: Sequence[Stated]) -> PhotoFile | Problem:
        """The file of a photo of which this is stated; or why there is none."""
        files = self.groups.get(photo_group(self.source, identity), ())
        name = stated[0].file_name if stated else ""
        if not files:
            return Problem(MISSING, f"{name or f'photo {identity}'} is not below the image root of {self.source}")
        fitting = _of_the_number if is_of_collection(self.source, identity) else _of_the_path
        chosen: PhotoFile | None = None
        for one in stated or (Stated("", 0, 0),):
            found = fitting(self.source, identity, files, one)
            file = found if isinstance(found, Problem) else _only(one.file_name or identity, found, one)
            if isinstance(file, Problem):
                return file
            if chosen is not None and file != chosen and not _are_same([chosen, file]):
                return _either(f"{stated[0].file_name} and {one.file_name}, both photo {identity},", [chosen, file])
            chosen = chosen or file
        assert chosen is not None
        return chosen


def _of_the_number(
    source: str, identity: str, files: Sequence[PhotoFile], stated: Stated
) -> Sequence[PhotoFile] | Problem:
    """Files of the photo's number that fit best what is stated; a mask, which has its photo's number, is no photo.

    A PNG alone is the photo where it has the whole stated name, and no mask is called so (``COCO_train2014_…``).
    """
    *folders, name = _parts(stated.file_name)
    known = [file for file in files if not _is_of_another(source, file, folders)]
    if not known:
        detail = f"{files[0].path} has the number of {stated.file_name or identity}, but is another collection's"
        return Problem(MISSING, f"{detail}; give the folder of {source}")
    files = known
    if len(files) == 1 and ending_of(files[0].path) == "jpg":
        return files
    ending = ending_of(stated.file_name)
    if COLLECTIONS[source].has_masks and ending != "png":
        photos = [file for file in files if ending_of(file.path) != "png"]
        stem = stem_of(name)
        if not photos and stem.startswith("COCO_"):
            photos = [file for file in files if stem_of(file.path) == stem]
        if not photos:
            detail = f"{files[0].path} has the number of {stated.file_name or identity}, but PNGs of {source} are masks"
            return Problem(MISSING, f"{detail}; give the folder of the photos")
        files = photos

    def fit(file: PhotoFile) -> tuple[bool, bool, bool, int]:
        own = _parts(file.path)[-1]
        is_called_so = stem_of(own) == stem_of(name)
        return is_called_so, ending_of(own) == (ending or "jpg"), own == name, _common_end(file.folders, folders)

    best = max(map(fit, files))
    return [file for file in files if fit(file) == best]


def _is_of_another(source: str, file: PhotoFile, named: Sequence[str]) -> bool:
    """Whether a file lies in another collection's folder, which the annotation does not name."""
    return any(_HOMES.get(one, source) != source and one not in named for one in file.path.split("/")[:-1])


def _of_the_path(
    source: str, identity: str, files: Sequence[PhotoFile], stated: Stated
) -> Sequence[PhotoFile] | Problem:
    """Files that lie where the photo is said to be: the folders and the ending that are named are theirs."""
    path = stated.file_name or identity
    *folders, _ = _parts(path)
    ending = ending_of(path)
    found = [
        file
        for file in files
        if ending in ("", ending_of(file.path)) and _common_end(file.folders, folders) == len(folders)
    ]
    if not found:
        detail = f"{path} is not below the image root of {source}, where {files[0].path} is the nearest to it"
        return Problem(MISSING, f"{detail}; name photos by their paths below the root")
    exact = [file for file in found if folders and file.path.split("/")[:-1] == folders]
    exact = exact or found
    return [file for file in exact if _parts(file.path)[-1] == _parts(path)[-1]] or exact


def _only(name: str, files: Sequence[PhotoFile], stated: Stated) -> PhotoFile | Problem:
    """The one of the files that has the stated size, or whose bytes are those of all others; or that there are two."""
    if len(files) > 1 and min(stated.height, stated.width) > 0:
        files = [file for file in files if _size_hw(file) == (stated.height, stated.width)] or files
    return files[0] if len(files) == 1 or _are_same(files) else _either(name, files)


def _either(name: str, files: Sequence[PhotoFile]) -> Problem:
    first = files[0]
    second = next((file for file in files if file.address != first.address), first)  # roots may lie in one another
    one, other = first.path, second.path
    if one == other:
        one, other = first.address, second.address
    remedy = "give the root of one, or name the photo by its path below the root"
    return Problem(AMBIGUOUS, f"{name} may be {one} or {other}, which are different files; {remedy}")


def _are_same(files: Sequence[PhotoFile]) -> bool:
    """Whether files hold the same bytes."""
    return len({file.bytes for file in files}) == 1 and len({_sha256(file) for file in files}) == 1


def _sha256(file: PhotoFile) -> bytes:
    with open_address(file.address) as stream:
        return hashlib.sha256(stream.read()).digest()


def _size_hw(file: PhotoFile) -> tuple[int, int] | None:
    """Height and width in pixels as the header says them; None of what is no photo."""
    try:
        with open_address(file.address) as stream, open_photo(stream) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")] or [""]


def _common_end(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many folders two paths end in alike."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count
