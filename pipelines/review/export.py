"""``review export``: the decisions in a FiftyOne dataset as a file."""

from collections import Counter
from typing import Any

from pipelines import console
from pipelines.qa.decided import collect, tagged_photos
from pipelines.qa.importer import INFO
from xdetr_data.errors import ConfigError
from xdetr_data.reviewing.decisions import Reviewed, write_decisions
from xdetr_data.storage import Folder


def export_review(fo: Any, name: str, out: str) -> dict[str, int]:
    """Writes all decisions of a dataset that ``qa`` made; the same decisions are the same bytes. Returns how many of
    each kind; raises ConfigError where there is no such dataset."""
    if not fo.dataset_exists(name):
        known = ", ".join(fo.list_datasets()) or "none"
        raise ConfigError(f"FiftyOne has no dataset {name!r}; it has: {known}")
    dataset = fo.load_dataset(name)
    about = dataset.info.get(INFO)
    if about is None:
        raise ConfigError(f"FiftyOne's dataset {name!r} was not made by 'xdetr-data qa'")
    decisions = list(collect(dataset))
    folder, _, file = out.rpartition("/")
    reviewed = Reviewed(name=name, config_hash=about["config_hash"])
    write_decisions(Folder(folder or "."), file, reviewed, decisions)
    if photos := tagged_photos(dataset):
        console.warn(f"{photos:,} photos carry a reviewer's tag themselves, which decides nothing: tag their labels")
    return dict(sorted(Counter(one.action for one in decisions).items()))
