"""LVIS: average precision over classes of which each is known on some photos only, fixed and standard.

Sources: lvis 0.5.3 (the official evaluator; Gupta et al. 2019) for what counts where, Dave et al. 2021 (Evaluating
Large-Vocabulary Object Detectors) for *fixed AP*.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.average_precision import SIZES, Curves, average, federated_curves
from xdetr_model.evaluate.columns import Floats, Found, Ints, Truth, best_of_each

Protocol = Literal["fixed", "standard"]
PROTOCOLS: tuple[Protocol, ...] = ("fixed", "standard")
MOST_OF_A_PHOTO = 300
MOST_OF_A_CLASS = 10_000
FREQUENCIES = {"r": "APr", "c": "APc", "f": "APf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """What is known of P photos and C classes. ``frequencies``: r, c or f by class. By photo, as numbers of classes:
    ``absent`` (verified) and ``not_exhaustive`` (not every object of the class is boxed). Labels of ``truth`` are such
    numbers."""

    truth: Truth
    frequencies: Sequence[str]
    absent: Sequence[Sequence[int]]
    not_exhaustive: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LvisScores:
    """Figures of a protocol: ``by_class [C]`` is the average precision of each class, NaN where none of its objects is
    on any photo; ``curves`` has M = 1."""

    protocol: Protocol
    curves: Curves
    frequencies: tuple[str, ...]
    photos: int
    boxes: int

    @property
    def by_class(self) -> Floats:
        """See the class."""
        own = self.curves.precision[:, :, :, 0, 0]
        return np.asarray(own.mean((0, 1)))

    def scalars(self) -> dict[str, float]:
        """AP, AP50, AP75, by size and by frequency, and AR; in 0..1, NaN where there is nothing to measure."""
        return dict(self._scalars())

    def _scalars(self) -> Iterator[tuple[str, float]]:
        precision, recall = self.curves.precision[..., 0], self.curves.recall[..., 0]
        everything = precision[:, :, :, 0]
        yield from (("AP", average(everything)), ("AP50", average(everything[0])), ("AP75", average(everything[5])))
        yield from ((f"AP_{size}", average(precision[..., i])) for i, size in enumerate(SIZES) if i)
        frequencies = np.array(self.frequencies)
        for frequency, name in FREQUENCIES.items():
            yield name, average(everything[:, :, frequencies == frequency])
        yield "AR", average(recall[:, :, 0])
        yield from ((f"AR_{size}", average(recall[..., i])) for i, size in enumerate(SIZES) if i)


def lvis_scores(found: Found, known: Federation, protocol: Protocol) -> LvisScores:
    """Scores of boxes over all photos and classes.

    ``standard``: the 300 best of a photo count. ``fixed``: the 10,000 best of a class over all photos count, however
    many there are on a photo. The cut is made before it is asked which classes are known where, as both define it.
    Raises TargetError for a photo or class that there is not.
    """
    photos, classes = len(known.absent), len(known.frequencies)
    for name, numbers, count in (("photo", found.photo, photos), ("class", found.label, classes)):
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
            raise TargetError(f"a box is of {name} {int(numbers.max())}, but there are {count}")
    kept = found.take(cut(found, protocol))
    curves = federated_curves(
        kept,
        known.truth,
        frequencies=known.frequencies,
        absent=known.absent,
        not_exhaustive=known.not_exhaustive,
    )
    return LvisScores(
        protocol=protocol,
        curves=curves,
        frequencies=tuple(known.frequencies),
        photos=photos,
        boxes=len(known.truth.photo),
    )


def cut(found: Found, protocol: Protocol) -> Ints:
    """Rows that a protocol looks at."""
    if protocol == "standard":
        return best_of_each(found.photo, found.scores, MOST_OF_A_PHOTO)
    rows = best_of_each(found.label, found.scores, MOST_OF_A_CLASS)
    return rows[np.lexsort((rows, found.photo[rows]))]
