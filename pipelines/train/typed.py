"""Plain values as a struct: msgspec checks keys, types and bounds, and what it refuses is told in one line by key.

A bound says itself what a value must be: ``Annotated[float, Meta(ge=0, le=1, description="between 0 and 1")]``.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from xdetr_data.errors import ConfigError

Kind = TypeVar("Kind", bound=msgspec.Struct)

_PLACED = re.compile(r"(?P<text>.*) - at (?P<is_key>`key` in )?`\$\.?(?P<place>.*)`", re.DOTALL)
_KEY = re.compile(r"Object (?P<what>contains unknown|missing required) field `(?P<key>.*)`", re.DOTALL)


def typed(values: Mapping[str, Any], kind: type[Kind], name: str) -> Kind:
    """``values`` as a ``kind``; raises ConfigError, which calls them ``name`` and names the key that is wrong."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_told(str(error), values, kind)}") from error


def nearest(key: str, known: Collection[str]) -> str:
    """What an error says behind an unknown key."""
    found = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f" (nearest valid key: {found[0]})" if found else ""


def _told(message: str, values: Any, kind: Any) -> str:
    """msgspec's ``… - at `$.data.workers``` → ``data.workers: …``; in our words where a key or a bound is broken."""
    placed = _PLACED.fullmatch(message)
    text, place = (placed["text"], placed["place"]) if placed else (message, "")
    if placed and placed["is_key"]:
        return f"a key of {place or 'the file'}: {text}"
    for key in place.partition("[")[0].split(".") if place else ():
        kind, values = _fields(kind, values).get(key), values[key]
    if broken := _KEY.fullmatch(text):
        key = f"key {place}{'.' if place else ''}{broken['key']}"
        if broken["what"] == "missing required":
            return f"{key} is missing"
        fields = _fields(kind, values)
        return f"{key} is unknown{nearest(broken['key'], [one for one in fields if one not in values] or fields)}"
    bounds = [bound for one in (kind, *get_args(kind)) for bound in getattr(one, "__metadata__", ())]
    if not bounds or ", got " in text:
        return f"{place}: {text}"
    return f"{place} is {float(values) if '`float`' in text else values}; it must be {bounds[0].description}"


def _fields(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of the struct that a mapping is for: of several, the one that its tag names."""
    for one in get_args(kind) or (kind,):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            tag = one.__struct_config__
            if tag.tag_field is None or values.get(tag.tag_field) == tag.tag:
                return get_type_hints(one, include_extras=True)
    return {}
