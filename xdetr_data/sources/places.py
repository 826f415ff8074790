"""Where a recipe's photos are: below image roots, in containers, or nowhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdetr_data.errors import ConfigError
from xdetr_data.sources.framing.lines import spelled_out
from xdetr_data.sources.listing import Listing, list_photos
from xdetr_data.sources.protocol import PhotoSource, Problem

ANY_SOURCE = "any"

Folders = str | tuple[str, ...]  # one address, or those of a collection that comes in several folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Folders of photos by source (``any``: of the one source that the inputs speak of).

    ``option`` is the flag that gives them, ``inputs`` what names the photos, for errors. A photo that ``must_be_there``
    is left out of the plan where it is not, and takes no place of ``--limit``; otherwise it is its shard's reject.
    """

    folders: Mapping[str, Folders]
    option: str
    inputs: str = "inputs"
    must_be_there: bool = False

    def find(self, sources: Iterable[str]) -> Mapping[str, Listing]:
        """All photos of the sources; raises ConfigError for a source without a folder of its own."""
        wanted = sorted(set(sources))
        return {
            source: Listing.of(source, [file for root in self._named(source, wanted) for file in list_photos(root)])
            for source in wanted
        }

    def of(self, source: str) -> list[str]:
        """The addresses that are given for a source, braces spelled out."""
        folders = self.folders.get(source, ())
        return [root for folder in ([folders] if isinstance(folders, str) else folders) for root in spelled_out(folder)]

    def _named(self, source: str, wanted: Sequence[str]) -> list[str]:
        folders = self.folders.get(source) or self.folders.get(ANY_SOURCE)
        named = f"the {self.inputs} name photos of"
        if folders is None:
            raise ConfigError(f"{named} source {source!r}: give {self.option} {source}=DIR")
        if source not in self.folders and len(wanted) > 1:
            raise ConfigError(
                f"{named} {', '.join(wanted)}, whose numbers can be the same: "
                f"give {self.option} SOURCE=DIR for each, as in {self.option} {source}=DIR"
            )
        return self.of(source) or self.of(ANY_SOURCE)


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
