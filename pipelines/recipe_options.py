"""Options of a recipe, declared once: one frozen struct gives the command's flags, ``--config`` and the hash."""

from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from xdetr_data.errors import ConfigError
from xdetr_data.photos.look_alikes import fingerprint_file
from xdetr_data.sources.places import Folders
from xdetr_data.vocabulary import NamedClass

MAX_SPLIT_CHARS = 64  # it is part of file names


def flag(
    text: str,
    *,
    metavar: str | None = None,
    default: str | None = None,
    is_place: bool = False,
    bare: str | None = None,
    is_argument: bool = False,
    is_needed: bool = False,
    name: str | None = None,
) -> msgspec.Meta:
    """What a field is as a flag: its help ``text``, what stands for its value, and how its default is shown.

    A value that ``is_place`` says where inputs lie, which does not decide what is made of them. ``bare`` is the name
    of a NAME=VALUE that is given without one. What ``is_argument`` is given without a flag's name. Without what
    ``is_needed`` there is nothing to do, which ``check`` of the options says: the help marks it. ``name`` is the
    flag's where the field cannot be called so.
    """
    said = {"metavar": metavar, "default": default, "bare": bare}
    said |= {} if name is None else {"name": name}
    said |= {"is_place": is_place, "is_argument": is_argument, "is_needed": is_needed}
    return msgspec.Meta(description=text, extra=said)


Bytes = Annotated[int, msgspec.Meta(extra={"parse": "bytes"})]
Files = tuple[str, ...]
Exclude = Annotated[
    Files,
    flag(
        "Photos to leave out: COCO/LVIS/MDETR JSON, refer pickle (its val and test photos), Flickr split file or "
        "list of ids; Visual Genome's image_data.json lets COCO's lists reach its copies of COCO photos. Repeatable. "
        "SOURCE= (coco, vg, flickr) says what bare numbers mean.",
        metavar="[SOURCE=]FILE",
        is_place=True,
    ),
]
ExcludeLike = Annotated[
    Files,
    flag(
        "Leave out photos that look like those of a dataset or folder that 'xdetr-data fingerprints' was taken of, or "
        "of its file: copies under other names. Repeatable.",
        metavar="DATASET|FILE",
        is_place=True,
    ),
]
ImageRoot = Annotated[
    dict[str, Folders],
    flag(
        "Where the photos of a source (coco, vg, flickr) are: a folder with all below it, or several. Repeatable.",
        metavar="SOURCE=DIR",
        is_place=True,
    ),
]
CocoInstances = Annotated[Files, flag("COCO instances JSON, plain or .gz. Repeatable.", metavar="FILE", is_place=True)]
MetadataOnly = Annotated[bool, flag("Labels without photos.")]


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of every recipe: what decides the bytes of the output, besides the content of the inputs."""

    split: Annotated[str, flag("Name of the split, part of the shards' names.")] = "train"
    seed: Annotated[int, flag("Decides which photo goes to which shard.")] = 0
    limit: Annotated[int | None, flag("Only the first N photos of the inputs.")] = None
    shard_bytes: Annotated[Bytes, flag("About how large a shard may become, as in 512MB or 1GiB.", default="512MB")] = (
        512_000_000
    )

    exclude_like: ExcludeLike = ()

    def like_inputs(self) -> list[tuple[str, str]]:
        """The files of ``--exclude-like`` as inputs; raises InputError where one is not there."""
        if self.exclude_like:
            import imagehash  # noqa: F401  what is not installed is told before any photo is read
        return [("exclude-like", fingerprint_file(one)) for one in self.exclude_like]

    def check(self) -> None:
        """Raises ConfigError for an option out of its range, or options that contradict each other."""
        if self.exclude_like and getattr(self, "metadata_only", False):
            raise ConfigError("--exclude-like looks at photos, and --metadata-only has none; leave one of them out")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit {self.limit} must be at least 1")
        if self.shard_bytes < 1:
            raise ConfigError(f"--shard-bytes {self.shard_bytes} must be positive")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"--seed {self.seed} must be between 0 and 2**63")
        if not (self.split.isidentifier() and len(self.split) <= MAX_SPLIT_CHARS):
            raise ConfigError(f"--split {self.split!r} must be a plain word such as train or val")


class ImportOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of what is imported; ``vocabulary`` is no flag: a recipe reads it from the file."""

    inputs: Annotated[
        Files,
        flag("Files, or folders of them such as an export's.", metavar="DIR|FILE", is_place=True, is_argument=True),
    ] = ()
    origin: Annotated[Literal["odvg", "coco", "mdetr", "grit"], flag("Their format.", name="--from")] = "odvg"
    source: Annotated[
        str, flag("What the photos' collection is called in keys.", default="as --image-root or file")
    ] = ""
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False
    vocabulary: tuple[NamedClass, ...] = ()

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.inputs:
            raise ConfigError("no input: give a file, or the folder of an export")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root SOURCE=DIR (coco, vg, flickr), or --metadata-only")
        super().check()


def check_iou(option: str, value: float) -> None:
    """Raises ConfigError for what is no threshold of an IoU."""
    if not 0 < value <= 1:
        raise ConfigError(f"{option} {value} must be above 0 and at most 1")


def metadata(options: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """By field, what ``flag`` and its type say of it (``text`` is the help)."""
    found: dict[str, dict[str, Any]] = {}
    for name, hint in get_type_hints(options, include_extras=True).items():
        found[name] = {}
        for meta in getattr(hint, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta):
                found[name] |= {"text": meta.description} if meta.description else {}
                found[name] |= meta.extra or {}
    return found


def deciding(options: msgspec.Struct) -> dict[str, Any]:
    """The options that decide what is made: all but the places of inputs, as plain values."""
    about = metadata(type(options))
    values: dict[str, Any] = msgspec.to_builtins(options)
    return {name: value for name, value in values.items() if not about[name].get("is_place")}
