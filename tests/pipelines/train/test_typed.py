"""What msgspec refuses is told by key, in one line."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from pipelines.train.typed import typed
from xdetr_data.errors import ConfigError


class Circle(msgspec.Struct, forbid_unknown_fields=True, tag="circle", tag_field="kind"):
    radius: Annotated[float, Meta(gt=0, description="above 0")] | None


class Square(msgspec.Struct, forbid_unknown_fields=True, tag="square", tag_field="kind"):
    side: float


class Drawing(msgspec.Struct, forbid_unknown_fields=True):
    shape: Circle | Square
    colour: Literal["red", "blue"] = "red"
    corners: tuple[int, ...] = ()
    notes: dict[str, Any] = {}


ROUND: dict[str, Any] = {"kind": "circle", "radius": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "key shape is missing"),
        ({"shape": {"radius": 1.0}}, "key shape.kind is missing"),
        ({"shape": ROUND | {"kind": "ring"}}, "shape.kind: Invalid value 'ring'"),
        ({"shape": ROUND | {"side": 1.0}}, "key shape.side is unknown (nearest valid key: radius)"),
        ({"shape": ROUND, "color": "red"}, "key color is unknown (nearest valid key: colour)"),
        ({"shape": ROUND | {"radius": 0}}, "shape.radius is 0.0; it must be above 0"),
        ({"shape": ROUND | {"radius": "wide"}}, "shape.radius: Expected `float | null`, got `str`"),
        ({"shape": 3}, "shape: Expected `object`, got `int`"),
        ({"shape": ROUND, "corners": [1, "two"]}, "corners[1]: Expected `int`, got `str`"),
        ({"shape": ROUND, 3: 4}, "a key of the file: Expected `str`"),
        ({"shape": ROUND, "notes": {3: 4}}, "a key of notes: Expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        typed(values, Drawing, "a.yaml")
    assert str(error.value) == f"a.yaml: {message}"


def test_what_is_right_is_converted() -> None:
    assert typed({"shape": ROUND}, Drawing, "a.yaml") == Drawing(shape=Circle(radius=1.0))
