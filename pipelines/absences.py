"""Which classes are verified to be absent from a photo, as LVIS's fields say it."""

from collections.abc import Collection, Sequence

from pipelines.engine.outcome import READ, Outcome
from xdetr_data.sources.elements import Element
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.instances import parse_class
from xdetr_data.vocabulary import NamedClass, find_class


def read_absences(
    elements: Sequence[Element], vocabulary: Sequence[NamedClass], annotated: Collection[int], outcome: Outcome
) -> dict[int, Element]:
    """The classes that are verified absent, each with the element that says so; the others are rejected.

    ``annotated`` are the classes of the photo's annotations, and those of which not every object is boxed.
    """
    absent: dict[int, Element] = {}
    for element in elements:
        number = parse_class(element.data)
        if isinstance(number, Unreadable):
            problem = ("unreadable-absence", number.problem)
        elif find_class(vocabulary, number) is None:
            problem = ("unknown-class", f"class {number} is in no categories[]")
        elif number in annotated:
            problem = ("contradicted-absence", f"class {number} is annotated, or not exhaustively, on the same photo")
        elif number in absent:
            problem = ("duplicate-absence", f"class {number}")
        else:
            absent[number] = element
            continue
        outcome.reject("absence", READ, *problem, where=element.where)
    return absent
