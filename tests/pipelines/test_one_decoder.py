"""Whatever the pipelines do with a photo, they see the same pixels; so do viewers that decode on their own."""

import ast
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from pipelines.drawing.figure import photo_pixels
from pipelines.labelling.grounding import Clock, Job, Phrase, ground
from pipelines.qa.photos import viewable
from pipelines.report.photos import PhotoBook
from pipelines.train.labelled import dataset_photos
from tests.data.loading.painted import write_set
from tests.data.photo_kinds import HEIGHT, KINDS, WIDTH, encoded, picture, turned
from xdetr_data.errors import InputError
from xdetr_data.loading.pixels import render
from xdetr_data.loading.view import View
from xdetr_data.photos.decoding import decode_photo, open_photo
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef
from xdetr_data.shards.writer import Sample
from xdetr_model.photos import to_rgb

ROOT = Path(__file__).parents[2]
Pixels = NDArray[np.uint8]


class Recorder:
    """A grounder that keeps what it is given."""

    seen: Image.Image

    def prepare(self, photo: Image.Image) -> Any:
        self.seen = photo
        return photo

    def ground_prepared(self, photos: Sequence[Any], phrases: Sequence[Any], keep: int) -> Sequence[Any]:
        return [[] for _ in photos]

    def forget(self) -> None: ...

    def fingerprint(self) -> str:
        return "recorder"


def in_labelling(data: bytes, tmp_path: Path) -> Pixels:
    (tmp_path / "photo").write_bytes(data)
    grounder = Recorder()
    jobs = [Job(number=0, address=str(tmp_path / "photo"))]
    phrases = [[Phrase("a dog", ((0, 5),))]]
    list(ground(jobs, lambda _: phrases, grounder, batch_size=1, keep=1, threads=1, clock=Clock()))
    assert grounder.seen.mode == "RGB"
    return np.asarray(grounder.seen)


def in_training(data: bytes, tmp_path: Path) -> Pixels:
    view = View(crop_xyxy=(0.0, 0.0, float(WIDTH), float(HEIGHT)), out_hw=(HEIGHT, WIDTH), is_flipped=False)
    return render(open_photo(data), view)[..., :3]


def in_validation(data: bytes, tmp_path: Path) -> Pixels:
    photo = check_photo(data, "photo")
    assert isinstance(photo, Photo)
    labels = GroundedImage(
        key="a_1", image=ImageRef(file_name="a", source="a", size_hw=photo.size_hw, sha256=photo.sha256)
    )
    (found,) = dataset_photos(str(write_set(tmp_path / "set", [[Sample(labels, photo)]])), None)
    return np.asarray(found.photo)


def in_drawing(data: bytes, tmp_path: Path) -> Pixels:
    return photo_pixels(data)


def in_a_model_that_opens_it_itself(data: bytes, tmp_path: Path) -> Pixels:
    with Image.open(io.BytesIO(data)) as photo:
        return np.asarray(to_rgb(photo))


@pytest.mark.parametrize(
    "door", [in_labelling, in_training, in_validation, in_drawing, in_a_model_that_opens_it_itself]
)
def test_every_door_gives_the_decoders_pixels(door: Callable[[bytes, Path], Pixels], tmp_path: Path) -> None:
    for number, (kind, data) in enumerate(KINDS.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert np.array_equal(door(data, folder), np.asarray(decode_photo(data))), kind


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_shows_them_but_for_the_losses_of_jpeg(kind: str) -> None:
    book = PhotoBook()
    name = book.add(KINDS[kind], kind)
    assert isinstance(name, str)
    with Image.open(io.BytesIO(book.jpeg(name))) as copy:
        assert ImageOps.exif_transpose(copy).size == (WIDTH, HEIGHT)
        noise = 20 if kind.startswith(("1 bit", "palette")) else 6  # dithered ones lose more
        assert difference(copy.convert("RGB"), decode_photo(KINDS[kind])) < noise


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_that_turns_blends_and_plays_photos_shows_the_decoders_pixels(kind: str) -> None:
    shown = viewable(KINDS[kind])
    assert check_photo(shown, kind).suffix == check_photo(KINDS[kind], kind).suffix  # type: ignore[union-attr]
    with Image.open(io.BytesIO(shown)) as photo:
        assert photo.mode in ("RGB", "L")
        assert "transparency" not in photo.info
        assert photo.format == "MPO" or not getattr(photo, "is_animated", False)
        upright = ImageOps.exif_transpose(photo)
    assert upright.size == (WIDTH, HEIGHT)
    assert difference(upright.convert("RGB"), decode_photo(KINDS[kind])) < 4


def test_what_every_viewer_shows_alike_is_handed_over_as_it_is() -> None:
    kept = {kind for kind, data in KINDS.items() if viewable(data) == data}
    assert kept == {
        *("colour JPEG", "colour PNG", "colour WebP", "grey JPEG", "grey PNG", "16-bit colour", "two views in a JPEG"),
        *(f"{file_format} of orientation 1" for file_format in ("JPEG", "PNG", "WEBP")),
    }


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
XMP += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'


def test_no_orientation_of_any_kind_outlives_the_copy() -> None:
    xmp = encoded(picture(), "JPEG", xmp=XMP)
    damaged = turned("WEBP", 6).replace(b"MM\0*", b"MM\0\0")
    for data in (xmp, damaged):
        with Image.open(io.BytesIO(viewable(data))) as photo:
            assert ExifTags.Base.Orientation not in photo.getexif()
            assert "exif" not in photo.info
            assert "xmp" not in photo.info


def test_a_viewer_gets_no_photo_that_does_not_decode() -> None:
    for data in (b"", KINDS["grey with alpha"][:200]):
        with pytest.raises(InputError):
            viewable(data)


# Opens pictures that the tool drew itself.
OPENS_ITS_OWN = {"xdetr_data/toyworld/contact_sheet.py", "pipelines/report/figures.py"}


def test_nobody_else_opens_photos() -> None:
    opening = {
        str(path.relative_to(ROOT))
        for room in ("xdetr_data", "xdetr_model", "pipelines")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("open", "imread", "imdecode")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("Image", "plt", "cv2", "imageio", "mpimg")
    }
    assert opening == OPENS_ITS_OWN | {"xdetr_data/photos/decoding.py"}
