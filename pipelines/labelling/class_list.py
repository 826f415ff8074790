"""Class names that are looked for instead of captions: what each is called, asked for, and taken for by mistake."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pipelines.strict_yaml import load_yaml
from xdetr_data.errors import ConfigError
from xdetr_data.storage import split_address
from xdetr_data.vocabulary import NamedClass

YAML = (".yaml", ".yml")
MOST_BYTES = 1 << 22
BARE = "{}"


class ClassPrompts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A class and the texts that a photo is asked for: ``prompts`` find it, a box that fits one of ``negatives``
    better is none of it. ``id`` counts from 1 in the order of the file."""

    id: int
    name: str
    prompts: tuple[str, ...]
    negatives: tuple[str, ...] = ()


class _Class(msgspec.Struct, forbid_unknown_fields=True):
    """A class as the file says it."""

    synonyms: list[str] = []
    negatives: list[str] = msgspec.field(name="not", default_factory=list)
    templates: list[str] = []


def read_class_list(path: str) -> tuple[ClassPrompts, ...]:
    """The classes of a file: one name a line (``#`` begins a remark), or YAML.

    YAML is a list of names, or a mapping of name to nothing, to a list of synonyms, or to ``synonyms``, ``not``
    (negative prompts) and ``templates`` (texts with one ``{}``, for the class alone). Raises ConfigError for a file
    that is no such list, InputError where it cannot be read.
    """
    named = list(_classes(path))
    if not named:
        raise ConfigError(f"{path}: holds no class; give one name a line")
    found = [_prompts(path, number, name, one) for number, (name, one) in enumerate(named, 1)]
    seen: dict[str, ClassPrompts] = {}
    for one in found:
        for text in one.prompts:
            if (other := seen.setdefault(text.lower(), one)) is not one:
                raise ConfigError(f"{path}: {text!r} asks for both {other.name!r} and {one.name!r}; leave one out")
    return tuple(found)


def vocabulary(classes: tuple[ClassPrompts, ...]) -> tuple[NamedClass, ...]:
    """The classes as a dataset's vocabulary."""
    return tuple(NamedClass(id=one.id, name=one.name, text=one.name) for one in classes)


def all_prompts(classes: tuple[ClassPrompts, ...]) -> tuple[str, ...]:
    """What a photo is asked for, in order: of each class its prompts, then its negative ones."""
    return tuple(text for one in classes for text in (*one.prompts, *one.negatives))


def _classes(path: str) -> Iterator[tuple[str, _Class]]:
    folder, file = split_address(path)
    with folder.open(file) as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path}: holds more than {MOST_BYTES >> 20} MiB; is it a list of classes?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start})") from error
    if not path.lower().endswith(YAML):
        names = (line.split("#")[0] for line in text.splitlines())
        yield from ((" ".join(name.split()), _Class()) for name in names if name.strip())
        return
    values: Any = load_yaml(text, path) or []
    if not isinstance(values, dict | list):
        raise ConfigError(f"{path}: must be a list of names, or 'name: …' lines")
    for name in values:
        if not isinstance(name, str):
            raise ConfigError(f"{path}: YAML reads the class {name!r} as no text; put it in quotes")
        said = values[name] if isinstance(values, dict) else None
        try:
            one = msgspec.convert({"synonyms": said} if isinstance(said, list) else said or {}, _Class)
        except msgspec.ValidationError as error:
            what = f"{str(error)[0].lower()}{str(error)[1:]}"
            raise ConfigError(f"{path}: class {name!r}: {what}; give synonyms, not, templates") from error
        yield " ".join(name.split()), one


def _prompts(path: str, number: int, name: str, said: _Class) -> ClassPrompts:
    for template in said.templates:
        if template.count(BARE) != 1:
            raise ConfigError(f"{path}: class {name!r}: template {template!r} must hold {{}} once")
    texts = [" ".join(text.split()) for text in (name, *said.synonyms)]
    against = [" ".join(text.split()) for text in said.negatives]
    if not all((*texts, *against)):
        raise ConfigError(f"{path}: class {name!r}: a prompt is empty")
    if again := [text for text in against if text.lower() in {one.lower() for one in texts}]:
        raise ConfigError(f"{path}: class {name!r}: {again[0]!r} is both looked for and not; leave one of them out")
    asked = [template.replace(BARE, text) for text in texts for template in said.templates or (BARE,)]
    return ClassPrompts(id=number, name=name, prompts=tuple(dict.fromkeys(asked)), negatives=tuple(against))
