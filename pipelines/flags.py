"""Flags of a command from the options of its recipe: each field that has a help text is one."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
import typer

from pipelines.options import PLACES, parse_bytes, parse_number, parse_pairs
from pipelines.recipe_options import BuildOptions, metadata

Options = TypeVar("Options", bound=msgspec.Struct)

AS_IT_WAS = "as it was"
OF_RECIPE, OF_ALL = "What is made of it", "The dataset"  # panels of the help


def parameters(options: type[msgspec.Struct], *, all_optional: bool = False) -> list[inspect.Parameter]:
    """The flags of all fields, those of structs inside it among them, as the parameters of a command.

    Where all are optional, what is not given is None and ``given`` leaves it out.
    """
    return [_parameter(field, about, panel, all_optional) for field, about, panel in _fields(options)]


def parse(options: type[Options], values: Mapping[str, Any]) -> Options:
    """The options that a command's values make; raises typer.BadParameter for a value that is none."""
    return options(**_values(options, values))


def given(options: type[msgspec.Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are given, by field."""
    return {field.name: values[field.name] for field, _, _ in _fields(options) if values[field.name] is not None}


def with_flags(body: Callable[..., Any], flags: list[inspect.Parameter], doc: str | None) -> Callable[..., Any]:
    """A command's body, which takes values by keyword, with the parameters that a command line reads."""
    body.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]
    body.__annotations__ = {one.name: one.annotation for one in flags}
    body.__doc__ = doc
    return body


def _fields(options: type[msgspec.Struct]) -> Iterator[tuple[msgspec.structs.FieldInfo, dict[str, Any], str]]:
    """The fields that are flags, with the panel of the help that they stand in: a struct's own before those that it has
    from others."""
    inherited = {name for base in options.__bases__ for name in getattr(base, "__struct_fields__", ())}
    of_all = set(BuildOptions.__struct_fields__)
    about = metadata(options)
    fields = msgspec.structs.fields(options)
    for field in sorted(fields, key=lambda one: one.name in inherited):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _fields(field.type)
        elif "text" in about[field.name]:
            is_place = about[field.name].get("is_place") or about[field.name].get("is_argument")
            own = OF_ALL if field.name in of_all else getattr(options, "PANEL", OF_RECIPE)
            yield field, about[field.name], PLACES if is_place else own


def _plain(kind: Any) -> Any:
    return _plain(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _parameter(
    field: msgspec.structs.FieldInfo, about: Mapping[str, Any], panel: str, is_optional: bool
) -> inspect.Parameter:
    kind, default = _plain(field.type), field.default
    shown: Any = AS_IT_WAS if is_optional else about.get("default") or True
    if get_origin(kind) in (tuple, dict) or about.get("is_place"):  # of a place that is given twice, none is lost
        kind, default = list[str] | None, None
    elif about.get("parse") == "bytes":
        kind, default = str, about["default"]
        shown = True
    names = [about["name"]] if "name" in about else [f"--{field.name.replace('_', '-')}"] if kind is bool else []
    if is_optional:
        kind, default = kind | None, None
    text = about["text"] + (" [required]" if about.get("is_needed") and not is_optional else "")
    if about.get("is_argument"):
        option: Any = typer.Argument(help=text, metavar=about.get("metavar"), show_default=False)
    else:
        option = typer.Option(
            *names, help=text, metavar=about.get("metavar"), show_default=shown, rich_help_panel=panel
        )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _values(options: type[msgspec.Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    about = metadata(options)
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(options):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found[field.name] = parse(field.type, values)
        elif field.name in values:
            found[field.name] = _value(field, about[field.name], values[field.name])
    return found


def _value(field: msgspec.structs.FieldInfo, about: Mapping[str, Any], value: Any) -> Any:
    kind = _plain(field.type)
    option = f"--{field.name.replace('_', '-')}"
    if about.get("parse") == "bytes":
        return parse_bytes(value)
    if get_origin(kind) is tuple:
        return field.default if value is None else tuple(value)
    if about.get("is_place") and get_origin(kind) is not dict:
        return _one_place(option, value or (), field.default)
    if get_origin(kind) is not dict:
        return value
    bare = about.get("bare")
    pairs = parse_pairs(option, [one if "=" in one or bare is None else f"{bare}={one}" for one in value or ()])
    if get_args(kind)[1] is not float:
        return {name: found[0] if len(found) == 1 else tuple(found) for name, found in pairs.items()}
    if twice := next((name for name, found in pairs.items() if len(found) > 1), None):
        raise typer.BadParameter(f"{option} gives {twice!r} twice")
    return {name: parse_number(option, text) for name, (text,) in pairs.items()}


def _one_place(option: str, values: Sequence[str], default: Any) -> Any:
    if len(values) > 1:
        raise typer.BadParameter(f"{option} is given {len(values)} times ({', '.join(values)}); it takes one")
    return values[0] if values else default


def own_parameters(declared: Mapping[str, tuple[Any, Any]]) -> list[inspect.Parameter]:
    """Flags that a command has besides its recipe's: by name the annotation and the default."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, (hint, default) in declared.items()
    ]
