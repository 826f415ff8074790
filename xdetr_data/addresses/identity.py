"""What an input holds, as its manifest says it: size and digest."""

import hashlib
import os
from typing import Any

from xdetr_data.addresses.reading import file_system, reading


def file_identity(path: str) -> tuple[int, str]:
    """Size in bytes and sha256 of an input file at any fsspec address, as it is stored.

    Of a folder, the size of all files below it, and the sha256 of what ``sha256sum`` prints of them in the order of
    their names: ``(cd DIR && find * -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum``.
    """
    fs, root = file_system(path)
    with reading(path):
        if not fs.isdir(root):
            return _identity(fs, root)
        files = {os.fsencode(str(name)[len(root.rstrip("/")) + 1 :]): str(name) for name in fs.find(root)}
        found = [(name, *_identity(fs, files[name])) for name in sorted(files)]
    listing = b"".join(f"{sha256}  ".encode() + name + b"\n" for name, _, sha256 in found)
    return sum(size for _, size, _ in found), hashlib.sha256(listing).hexdigest()


def _identity(fs: Any, path: str) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with fs.open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()
