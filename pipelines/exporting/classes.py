"""The numbers by which formats of classes call them."""

from collections.abc import Mapping

from xdetr_data.errors import InputError
from xdetr_data.record import GroundedImage


class Classes:
    """The numbers of classes by their text, those of a vocabulary first; of a dataset without one in the order in which
    they are met, of one with, raises InputError for any other."""

    def __init__(self, vocabulary: Mapping[str, None], first: int = 0) -> None:
        self.labels = {text: number for number, text in enumerate(vocabulary, first)}
        self._is_open, self._first = not vocabulary, first

    def number(self, record: GroundedImage) -> Mapping[str, int]:
        """The numbers, those of the record among them."""
        for query in record.queries:
            if query.text not in self.labels:
                if not self._is_open:
                    raise InputError(
                        f"{record.key}: {query.text[:60]!r} is no class of the dataset's vocabulary; build it again"
                    )
                self.labels[query.text] = len(self.labels) + self._first
        return self.labels
