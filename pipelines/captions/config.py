"""The options of ``build captions`` as one checked value."""

import re

from pipelines.build import BuildConfig, check_labels
from xdetr_data.errors import ConfigError

_SOURCE = re.compile(r"[a-z0-9]{1,24}")


class CaptionsConfig(BuildConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of the output, besides the content of the inputs. Names are files, without wildcards."""

    tsv: tuple[str, ...]
    images: tuple[str, ...]
    source: str = "cc"

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
        self.check_build()
        check_labels(self.tsv)
