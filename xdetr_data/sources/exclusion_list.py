"""What an ``--exclude`` list says, whatever its format."""

from dataclasses import dataclass

from xdetr_data.sources.places import ANY_SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionList:
    """Photo ids to leave out, by source (``any`` for ids that name none)."""

    path: str
    format: str
    ids: dict[str, frozenset[str]]

    @property
    def size(self) -> int:
        """How many ids the list holds."""
        return sum(map(len, self.ids.values()))

    def matches(self, source: str, identity: str) -> bool:
        """Whether the list names this photo."""
        return identity in self.ids.get(source, ()) or identity in self.ids.get(ANY_SOURCE, ())
