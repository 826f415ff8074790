"""A copy of a toy world whose files are damaged in every way that a build rejects by name, each time the same way."""

import io
import itertools
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

Element = dict[str, Any]
#: A changed element, or the text that stands in its place.
Damage = Callable[[Element], Element | str]

LONG = "x" * 400
HUGE = 1 << 70


def _text(text: str) -> Damage:
    return lambda _: text


def _with(**changes: Any) -> Damage:
    return lambda element: element | changes


def _without(name: str) -> Damage:
    return lambda element: {key: value for key, value in element.items() if key != name}


NO_ELEMENTS = (_text("17"), _text("null"), _text('{"id": NaN}'), _text("{}"), _text('"a text"'), _text("[[[]]]"))

PARAGRAPHS: tuple[Damage, ...] = (
    _with(id=HUGE),
    _with(id=0),
    _with(id="eleven"),
    _with(file_name="../outside.jpg"),
    _with(file_name=""),
    _with(file_name="a\0b.jpg"),
    _with(file_name=f"{LONG}.jpg"),
    _with(file_name="COCO_train2014_000099999999.jpg"),
    _with(file_name="a b/ü.1.jpg", data_source="vg"),
    _with(data_source="No Such!", dataset_name="none", file_name="7.jpg"),
    _with(data_source="coco", height=7),
    _with(height="180", width="267"),
    _with(height=-1),
    _without("caption"),
    _with(caption=""),
    _with(caption="  \t "),
    _with(caption=5),
    lambda one: one | {"caption": f"🎈 é {one['caption']}"},
    _with(tokens_negative=[[5, 2], [90000, 90001]]),
    _with(tokens_negative="none"),
    lambda one: json.dumps(one).replace('"caption": "', r'"caption": "\ud800'),
    *NO_ELEMENTS,
)
ANNOTATIONS: tuple[Damage, ...] = (
    _with(image_id=10**9),
    _with(image_id="a text"),
    _with(image_id=HUGE),
    _with(id=0),
    _with(id=[1]),
    _with(bbox=[1.0, 2.0, 3.0]),
    _with(bbox=[1.0, 2.0, -3.0, 4.0]),
    _with(bbox=[1.0, 2.0, 0.0, 4.0]),
    _with(bbox=[1e6, 1e6, 4.0, 4.0]),
    _with(bbox=[-5.0, -5.0, 40.0, 30.0]),
    _with(bbox=[0, 0, 10000, 10000]),
    _with(bbox="1 2 3 4"),
    lambda one: json.dumps(one | {"bbox": 0}).replace('"bbox": 0', '"bbox": [1, 2, 1e308, 1e400]'),
    lambda one: json.dumps(one | {"bbox": 0}).replace('"bbox": 0', '"bbox": [1.7e308, 2, 1.7e308, 4]'),
    _with(tokens_positive=[]),
    _with(tokens_positive=[[5, 2]]),
    _with(tokens_positive=[[0, 10**6]]),
    _with(tokens_positive=[[1, 2, 3]]),
    _with(tokens_positive=[[0, 3], [40, 44]]),
    _with(tokens_positive=[[0, 60]]),
    _with(tokens_positive="all"),
    _with(iscrowd=1),
    _without("bbox"),
    *NO_ELEMENTS,
)
BOXES: tuple[Damage, ...] = (
    *(one for one in ANNOTATIONS[:13]),
    _with(iscrowd=1),
    _with(image_id=99999999),
    _without("bbox"),
    *NO_ELEMENTS,
)
NARRATIVES: tuple[Damage, ...] = (
    _with(dataset_id="some_other_set"),
    _with(dataset_id=5),
    _with(image_id="../outside"),
    _with(image_id=LONG),
    _with(image_id="0123456789abcdef"),
    _without("caption"),
    _with(caption=""),
    _with(caption="a red ball and a blue box. " * 4000),
    _with(caption="Two balls, 3 red stars and the trees: 🎈 a café."),
    _with(timed_caption=[]),
    _with(timed_caption=None, traces=None),
    _with(timed_caption="none"),
    lambda one: one | {"timed_caption": one["timed_caption"][::-1]},
    lambda one: one | {"timed_caption": one["timed_caption"][::2]},
    _with(traces=[]),
    _with(traces=[[{"x": -3.0, "y": 9.0, "t": 0.5}], []]),
    lambda one: one | {"traces": one["traces"][::-1]},
    _text(""),
    _text("   "),
    _text('{"dataset_id": "mscoco_train2017", "image_id'),
    *NO_ELEMENTS,
)
#: Of the columns of an OpenImages box: what stands in them instead.
BOX_ROWS: tuple[Mapping[str, str], ...] = (
    {"ImageID": ""},
    {"ImageID": "0123456789abcdef"},
    {"ImageID": LONG},
    {"XMin": ""},
    {"XMin": "nope"},
    {"XMin": "nan"},
    {"XMin": "0.9", "XMax": "0.1"},
    {"XMin": "-0.5"},
    {"XMax": "1.5"},
    {"XMin": "0.25", "XMax": "0.25"},
    {"YMin": "inf"},
    {"IsGroupOf": "1"},
    {"IsInside": "1"},
    {"IsDepiction": "1"},
    {"IsOccluded": "-1", "IsGroupOf": "-1"},
    {"IsTruncated": "maybe"},
    {"IsTruncated": ""},
    {"LabelName": "/m/none"},
    {"Source": "one,field,more"},
    {"Source": "\udcff"},
)


def damage_world(world: Path, out: Path) -> None:
    """Writes the damaged copy."""
    shutil.copytree(world, out)
    for name in ("final_mixed_train", "final_flickr_separateGT_train", "finetune_refcoco_train"):
        damage_json(out / f"mdetr/{name}.json", {"images": (PARAGRAPHS, 7), "annotations": (ANNOTATIONS, 9)})
    damage_json(out / "coco/instances_train2014.json", {"annotations": (BOXES, 6)})
    kinds = itertools.cycle(NARRATIVES)
    for path in sorted((out / "locnar").glob("*train*.jsonl")):
        _damage_narratives(path, kinds)
    _damage_box_rows(out / "openimages/train-annotations-bbox.csv")
    for folder in sorted((out / "photos").iterdir()):
        _damage_photos(folder)
    damage_captions(out / "cc")
    _cut(world / "mdetr/final_mixed_train.json", out / "cut.json")
    _cut(world / "cc/00000.tar", out / "cut.tar")


def _every(step: int, count: int, kinds: Sequence[Any]) -> dict[int, Any]:
    """Position → damage, for every so manieth element, each kind in turn; the first is left as it is."""
    return {at: kinds[number % len(kinds)] for number, at in enumerate(range(1, count, step))}


def damage_json(path: Path, arrays: Mapping[str, tuple[Sequence[Damage], int]]) -> None:
    """Damages every so manieth element of top-level arrays of a JSON file, and repeats some."""
    fields = []
    for name, value in json.loads(path.read_text()).items():
        if name in arrays:
            kinds, step = arrays[name]
            damages = _every(step, len(value), kinds)
            texts = [_element(damages[at](one) if at in damages else one) for at, one in enumerate(value)]
            texts += [_element(one) for one in value[2:60:8]]
            fields.append(f'"{name}": [{", ".join(texts)}]')
        else:
            fields.append(f'"{name}": {json.dumps(value)}')
    path.write_text("{" + ", ".join(fields) + "}")


def _element(value: Element | str) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _damage_narratives(path: Path, kinds: Iterator[Damage]) -> None:
    """Damages every other line."""
    lines = path.read_text().splitlines()
    for at in range(1, len(lines), 2):
        lines[at] = _element(next(kinds)(json.loads(lines[at])))
    path.write_text("".join(f"{line}\n" for line in lines))


def _damage_box_rows(path: Path) -> None:
    header, *lines = path.read_text().splitlines()
    columns = header.split(",")
    damages = _every(4, len(lines), [*BOX_ROWS, None])
    rows = [header]
    for at, line in enumerate(lines):
        values = dict(zip(columns, line.split(","), strict=True))
        if at in damages:
            values = values | damages[at] if damages[at] else {"ImageID": "alone"}
        rows.append(",".join(values.values()))
    path.write_bytes("".join(f"{row}\n" for row in rows).encode(errors="surrogateescape"))


def _damage_photos(folder: Path) -> None:
    """Takes photos away, cuts them, puts others in their place."""
    paths = sorted(folder.iterdir())
    kinds: list[Callable[[Path], object]] = [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_text("no photo"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(_photo("PNG", "RGBA", _size(path))),
        lambda path: path.write_bytes(_photo("JPEG", "CMYK", _size(path))),
        lambda path: path.write_bytes(_photo("WEBP", "RGB", (31, 17))),
        lambda path: path.write_bytes(_photo("GIF", "L", _size(path))),
        lambda path: path.write_bytes(_photo("PNG", "1", (14000, 14000))),
        lambda path: path.rename(path.with_suffix(".png")),
    ]
    for at, damage in _every(3, len(paths), kinds).items():
        damage(paths[at])


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _photo(kind: str, mode: str, size: tuple[int, int]) -> bytes:
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, kind)
    return sink.getvalue()


def damage_captions(folder: Path) -> None:
    """Damages the lines and the tar of web captions, and adds a tar with a key of the first; needs 11 photos in it."""
    with tarfile.open(folder / "00000.tar") as tar:
        members = {one.name: stream.read() for one in tar if (stream := tar.extractfile(one))}
    keys = sorted({name.partition(".")[0] for name in members})
    address = [json.loads(members[f"{key}.json"])["url"].encode() for key in keys]
    lines = (folder / "train.tsv").read_bytes().splitlines()
    lines = [b" \t" + address[10] if line.endswith(address[10]) else line for line in lines]
    lines += [
        *(b"no tab", b"a caption\tno address", b"\xff\xfe\t" + address[8], b"", b"a dead link\thttps://none.example/1"),
        *(b"\t" + address[8], b"twice\t" + address[8], b" twice \t" + address[8], address[8] + b"\tthe address first"),
        *(b"more\t" + address[9] + b"\tfields", b"of no photo\t" + address[0], b"cut\t" + address[3]),
        *(b"the key again\thttps://again.example/1", b"a long key\thttps://again.example/2"),
    ]
    (folder / "train.tsv").write_bytes(b"\n".join(lines) + b"\n")
    long = "k" * 95  # with its ending all that a tar's header holds
    again = {f"{keys[9]}.jpg": members[f"{keys[9]}.jpg"], f"{keys[9]}.json": b'{"url": "https://again.example/1"}'}
    again |= {f"{long}.jpg": members[f"{keys[9]}.jpg"], f"{long}.json": b'{"url": "https://again.example/2"}'}
    del members[f"{keys[0]}.jpg"], members[f"{keys[1]}.json"]
    members[f"{keys[2]}.json"] = b'{"url": 5}'
    members[f"{keys[3]}.jpg"] = members[f"{keys[3]}.jpg"][:3000]
    members[f"{keys[4]}.jpg"] = b"no photo"
    members[f"{keys[5]}.json"] = b'{"url": "https://uncaptioned.example/1"}'
    members[f"{keys[6]}.json"] = members[f"{keys[7]}.json"]
    _write_tar(folder / "00000.tar", members)
    _write_tar(folder / "00001.tar", again)


def _write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _cut(source: Path, out: Path) -> None:
    out.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
