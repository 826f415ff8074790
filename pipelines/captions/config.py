"""The options of ``build captions`` as one checked value."""

import re
from collections import Counter

import msgspec

from xdetr_data.errors import ConfigError

_SOURCE = re.compile(r"[a-z0-9]{1,24}")


class CaptionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of the output, besides the content of the inputs. Names are files, without wildcards."""

    tsv: tuple[str, ...]
    images: tuple[str, ...]
    source: str = "cc"
    seed: int = 0
    limit: int | None = None
    shard_bytes: int = 512_000_000
    split: str = "train"

    @property
    def prefix(self) -> str:
        """What the names of the shards begin with."""
        return f"captions-{self.split}"

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.tsv:
            raise ConfigError("no captions: give at least one --tsv FILE (caption<TAB>address lines)")
        if not self.images:
            raise ConfigError("no photos: give --images TARS (a folder of tars, or files as 'cc3m/*.tar')")
        if not _SOURCE.fullmatch(self.source):
            raise ConfigError(f"--source {self.source!r} must be at most 24 small letters and digits, such as cc")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit {self.limit} must be at least 1")
        if self.shard_bytes < 1:
            raise ConfigError(f"--shard-bytes {self.shard_bytes} must be positive")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"--seed {self.seed} must be between 0 and 2**63")
        if not self.split.isidentifier():
            raise ConfigError(f"--split {self.split!r} must be a plain word such as train or val")
        for label, count in Counter(map(input_label, self.tsv)).items():
            if count > 1:
                raise ConfigError(
                    f"two inputs are called {label!r}, so that no label could say where it came from; rename one"
                )


def input_label(path: str) -> str:
    """What the records call an input: its file name without folders and endings."""
    return path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".tsv")
