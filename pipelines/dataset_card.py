"""The card of a dataset, ``README.md`` in its folder: what it holds, how to load it, how it was made, whose it is."""

from importlib.resources import files
from typing import Any

import jinja2
import msgspec
from rich.filesize import decimal

from pipelines import console
from xdetr_data.manifest import Manifest

_HUB_SPLITS = {"val": "validation"}  # what the Hugging Face hub calls them
_SOLVED = ("models",)  # keys of a configuration that are no options


def hub_split(manifest: Manifest) -> str:
    """What the Hugging Face hub calls the dataset's split."""
    return _HUB_SPLITS.get(manifest.split, manifest.split)


def dataset_card(manifest: Manifest, *, is_repository: bool = False, has_files: bool = False) -> str:
    """The card as Markdown, with the front matter that the Hugging Face hub reads; of the manifest alone, so that the
    same dataset has the same card wherever it lies. ``is_repository``: of Parquet files (``export --to hf``), not of
    shards; ``has_files``: with photos beside one."""
    environment = jinja2.Environment(  # Markdown, no HTML: nothing is to be escaped
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = environment.from_string(files("pipelines").joinpath("dataset_card.md.j2").read_text())
    config = msgspec.to_builtins(manifest.config, order="deterministic")  # as it will be read, whoever made it
    given = {key: value for key, value in config.items() if value not in (None, [], (), {}) and key not in _SOLVED}
    return template.render(
        manifest=manifest,
        hub_split=hub_split(manifest),
        is_repository=is_repository,
        has_files=has_files,
        shards=len(manifest.shards),
        size=decimal(sum(file.bytes for shard in manifest.shards for file in shard.files)),
        stems=_stems(manifest),
        no_photos=bool(manifest.config.get("metadata_only")),
        units=_units(manifest.accounting),
        models=config.get("models", {}),
        options=msgspec.yaml.encode(given, order="deterministic").decode().rstrip(),
        counted=_counted,
        name_of=_name_of,
    )


def _stems(manifest: Manifest) -> str:
    last = len(manifest.shards) - 1
    return f"{manifest.prefix}-" + ("000000" if last < 1 else f"{{000000..{last:06d}}}")


def _units(accounting: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": console.plural(unit), "came": flows["in"], "went": flows["out"]}
        for unit, flows in accounting["units"].items()
    ]


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit if number == 1 else console.plural(unit)}"


def _name_of(path: str) -> str:
    """The last part of an address: where it lay is nobody's business but the manifest's."""
    return path.rstrip("/").rpartition("/")[2].replace("|", "%7C").replace("`", "'")
