"""Fingerprints find copies of a photo whatever was done to it, and no other photos."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from benchmarks.look_alikes import ALTERED, encoded
from xdetr_data.errors import InputError
from xdetr_data.photos.fingerprint import BYTES, KEPT, asked_fingerprints, kept_fingerprints
from xdetr_data.photos.look_alikes import (
    LOOK_ALIKE,
    MAX_DISTANCE,
    Fingerprinted,
    LookAlikes,
    unlike,
    write_fingerprints,
)
from xdetr_data.photos.photo import BadPhoto, Photo, check_photo

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))


def drawn(seed: int) -> Image.Image:
    """Soft ground with some hard shapes: more like a photo than noise is."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)).resize(
        (480, 360), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(ground)
    for _ in range(6):
        left, top = int(rng.integers(0, 400)), int(rng.integers(0, 280))
        draw.ellipse(
            (left, top, left + int(rng.integers(40, 200)), top + int(rng.integers(40, 200))),
            fill=tuple(rng.integers(0, 255, 3).tolist()),
        )
    return ground


def known(tmp_path: Path, photos: list[bytes]) -> str:
    path = str(tmp_path / "known.parquet")
    write_fingerprints(path, [Fingerprinted(f"k{n}", kept_fingerprints(one).tobytes()) for n, one in enumerate(photos)])
    return path


def photo(data: bytes) -> Photo:
    found = check_photo(data, "it")
    assert isinstance(found, Photo)
    return found


@pytest.mark.parametrize("name", ALTERED)
def test_a_copy_is_found_and_named(name: str, tmp_path: Path) -> None:
    originals = [drawn(seed) for seed in range(8)]
    path = known(tmp_path, [encoded(one) for one in originals])
    for number, one in enumerate(originals):
        found = unlike(photo(encoded(ALTERED[name](one), quality=30)), [path])
        assert isinstance(found, BadPhoto)
        assert found.reason == LOOK_ALIKE
        assert f"from k{number} of {path}" in found.detail


def test_other_photos_stay(tmp_path: Path) -> None:
    path = known(tmp_path, [encoded(drawn(seed)) for seed in range(40)])
    for seed in range(100, 140):
        other = photo(encoded(drawn(seed)))
        assert unlike(other, [path]) is other


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the real photos are not here (XDETR_FIXTURES)")
def test_copies_of_real_photos_are_found_and_no_others(tmp_path: Path) -> None:
    photos = {path.read_bytes() for path in FIXTURES.rglob("*.jpg")}
    real = sorted(photos)[:40]
    alike = LookAlikes(known(tmp_path, real))
    distances: list[int] = []
    for number, data in enumerate(real):
        for alter in ALTERED.values():
            near = alike.nearest(asked_fingerprints(encoded(alter(Image.open(io.BytesIO(data)).convert("RGB")), 30)))
            assert near is not None
            distances.append(near.distance if near.key == f"k{number}" else 256)
    assert np.mean(np.array(distances) <= MAX_DISTANCE) >= 0.98
    for number, data in enumerate(real):
        others = [one for n, one in enumerate(real) if n != number]
        without = LookAlikes(known(tmp_path, others[:10]))
        near = without.nearest(asked_fingerprints(data))
        assert near is not None
        assert near.distance > MAX_DISTANCE


def test_no_list_and_no_photo_change_nothing(tmp_path: Path) -> None:
    one, bad = photo(encoded(drawn(1))), BadPhoto(reason="missing-photo", detail="gone")
    assert unlike(one, []) is one
    path = str(tmp_path / "none.parquet")
    write_fingerprints(path, [Fingerprinted("a", None, "no photo")])
    assert unlike(bad, [path]) is bad
    with pytest.raises(InputError, match="leave nothing out"):
        unlike(one, [path])


def test_what_is_no_file_of_fingerprints_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "other.parquet")
    for name in ("text", "other"):
        with pytest.raises(InputError, match="make it again"):
            LookAlikes(str(tmp_path / f"{name}.parquet"))


def test_the_same_photos_are_the_same_bytes(tmp_path: Path) -> None:
    data = encoded(drawn(3))
    assert kept_fingerprints(data).shape == (KEPT, BYTES)
    first = Path(known(tmp_path, [data])).read_bytes()
    assert Path(known(tmp_path, [data])).read_bytes() == first
