"""Values that no field of a record should hold, each with a name for test ids."""

from tests.pipelines.tiny import Verbatim

MISSING = object()

#: What the standard does not allow in JSON, though other tools write it: nothing of such an element is read.
NOT_JSON = {
    "nan": Verbatim("NaN"),
    "infinity": Verbatim("Infinity"),
    "minus-infinity": Verbatim("-Infinity"),
    "half-surrogate": Verbatim(r'"\ud800"'),
    "two-half-surrogates": Verbatim(r'"\udead\u0041"'),
}
#: Wrong for a field that wants a number, a text or a list of numbers alike.
NEVER_RIGHT = {
    "missing": MISSING,
    "null": None,
    "bool": True,
    "object": {"a": 1},
    "list-of-lists": [[[]]],
    "beyond-float": Verbatim("1e400"),
    "beyond-digits": Verbatim("9" * 5000),
}
#: Wrong for a number besides.
NO_NUMBER = NEVER_RIGHT | {"text": "eleven", "empty-text": "", "half": 1.5, "list": [1], "hexadecimal": "0x0B"}
#: Wrong for a text besides.
NO_TEXT = NEVER_RIGHT | {"number": 7, "list": ["a"]}


def put(element: dict[str, object], name: str, value: object) -> None:
    """Sets or removes a field."""
    if value is MISSING:
        del element[name]
    else:
        element[name] = value
