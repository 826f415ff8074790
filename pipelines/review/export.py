"""``review export``: the decisions in a FiftyOne dataset as a file."""

from collections import Counter
from typing import Any

import msgspec

from pipelines import console
from pipelines.qa.decided import collect, tagged_photos, unknown_tags
from pipelines.qa.importer import INFO
from pipelines.qa.labels import VERDICTS
from xdetr_data.errors import ConfigError
from xdetr_data.reviewing.decisions import Reviewed, write_decisions
from xdetr_data.storage import Folder


def export_review(fo: Any, name: str, out: str, reviewer: str = "") -> dict[str, int]:
    """Writes all decisions of a dataset that ``qa`` made; the same decisions are the same bytes. Returns how many of
    each kind; raises ConfigError where there is no such dataset."""
    if not fo.dataset_exists(name):
        known = ", ".join(fo.list_datasets()) or "none"
        raise ConfigError(f"FiftyOne has no dataset {name!r}; it has: {known}")
    dataset = fo.load_dataset(name)
    about = dataset.info.get(INFO)
    if about is None:
        raise ConfigError(f"FiftyOne's dataset {name!r} was not made by 'xdetr-data qa'")
    decisions = [msgspec.structs.replace(one, reviewer=reviewer) for one in collect(dataset)]
    folder, _, file = out.rpartition("/")
    reviewed = Reviewed(name=name, config_hash=about["config_hash"])
    write_decisions(Folder(folder or "."), file, reviewed, decisions)
    for tag, (count, meant) in unknown_tags(dataset).items():
        known = f"is {meant} meant?" if meant else f"verdicts are {', '.join(VERDICTS)}"
        console.warn(f"{count:,} labels have the tag {tag!r}, which decides nothing; {known}")
    if photos := tagged_photos(dataset):
        console.warn(f"{photos:,} photos carry a reviewer's tag themselves, which decides nothing: tag their labels")
    return dict(sorted(Counter(one.action for one in decisions).items()))
