"""Conceptual Captions: ``cc/train.tsv`` and the photos as img2dataset leaves them, without those of dead links."""

from __future__ import annotations

import hashlib
import tarfile

import msgspec

from xdetr_data.toyworld import templates
from xdetr_data.toyworld.dice import Purpose
from xdetr_data.toyworld.homes import CC_SHARD_PHOTOS
from xdetr_data.toyworld.photo import Sheet, ToyPhoto
from xdetr_data.toyworld.speech import Told, say
from xdetr_data.toyworld.truth import text_truth

TSV = "cc/train.tsv"
TAR_END = bytes(2 * tarfile.BLOCKSIZE)
_DEAD_LINKS = 0.15


def tar_file(shard: int) -> str:
    """Path of the tar of the shard with this number."""
    return f"cc/{shard:05d}.tar"


def write_web(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds the caption with its address and, where the link still works, the photo with its text and facts."""
    dice = photo.dice(Purpose.WEB)
    told = say(photo.view, dice, templates.WEB) or Told("abstract background", ())
    key = photo.home.photo_id
    url = f"https://photos.example.com/{key}/{hashlib.sha1(told.text.encode()).hexdigest()[:10]}.jpg"
    sheet.add_bytes(TSV, "lines", f"{told.text}\t{url}".encode())
    sheet.texts.append(text_truth(TSV, key, told.text, told.mentions))
    if dice.chance(_DEAD_LINKS):
        return
    height, width = photo.scene.height, photo.scene.width
    facts = {
        "caption": told.text, "url": url, "key": key, "status": "success", "error_message": None, "width": width,
        "height": height, "original_width": width, "original_height": height, "exif": "{}",
        "sha256": hashlib.sha256(photo.rendered.jpeg).hexdigest(),
    }  # fmt: skip
    tar = tar_file(photo.index // CC_SHARD_PHOTOS)
    sheet.add_bytes(tar, "blocks", _member(f"{key}.jpg", photo.rendered.jpeg))
    sheet.add_bytes(tar, "blocks", _member(f"{key}.txt", told.text.encode()))
    sheet.add_bytes(tar, "blocks", _member(f"{key}.json", msgspec.json.encode(facts)))


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
