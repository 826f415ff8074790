"""Where a recipe's photos are: below image roots, in containers, or nowhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdetr_data.errors import ConfigError
from xdetr_data.photos import list_photos, photo_name
from xdetr_data.sources.protocol import PhotoSource, Problem

ANY_SOURCE = "any"

Files = Mapping[str, tuple[str, int]]  # name → address and size in bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Folders of photos by source (``any``: of the one source that the inputs speak of).

    ``option`` is the flag that gives them, ``inputs`` what names the photos, for errors. A photo that ``must_be_there``
    is left out of the plan where it is not, and takes no place of ``--limit``; otherwise it is its shard's reject.
    """

    folders: Mapping[str, str]
    option: str
    inputs: str = "inputs"
    must_be_there: bool = False

    def find(self, sources: Iterable[str]) -> Files:
        """All photos of the sources; raises ConfigError for a source without a folder of its own."""
        wanted = sorted(set(sources))
        return {
            photo_name(source, identity): file
            for source in wanted
            for identity, file in list_photos(self._root(source, wanted)).items()
        }

    def _root(self, source: str, wanted: Sequence[str]) -> str:
        root = self.folders.get(source) or self.folders.get(ANY_SOURCE)
        named = f"the {self.inputs} name photos of"
        if root is None:
            raise ConfigError(f"{named} source {source!r}: give {self.option} {source}=DIR")
        if source not in self.folders and len(wanted) > 1:
            raise ConfigError(
                f"{named} {', '.join(wanted)}, whose numbers can be the same: "
                f"give {self.option} SOURCE=DIR for each, as in {self.option} {source}=DIR"
            )
        return root


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Tars and the like, which bring the photos of one source.

    Attributes:
        containers: in the order in which they count.
        source: what the photos' collection is called in keys.
        what: what people call the containers.
        unlabelled: why a photo that no element names is left out.
        twice: why the second of two photos is left out that have a name in common.
    """

    containers: Sequence[PhotoSource]
    source: str
    what: str
    unlabelled: Problem
    twice: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPhotos:
    """Labels without photos; their sizes are those that the inputs state."""


Places = Roots | Containers | NoPhotos
