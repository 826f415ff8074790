"""Which kind of machine a model labelled on: its scores are the same bits on one kind only.

A kind is the processor as torch names it, the device, and the versions of the libraries that lie between a photo and
its scores. Each shard's done-marker holds the kind that made it, so a run that goes on knows before it has a manifest.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata

import msgspec

from pipelines import console
from xdetr_data.errors import ConfigError
from xdetr_data.shards.writer import ShardStats

LIBRARIES = ("torch", "transformers", "tokenizers", "spacy", "numpy", "pillow")

Machine = dict[str, str]
DescribeMachine = Callable[[str], Machine]  # of a --device; travels to other processes


def this_machine(device: str) -> Machine:
    """The kind of machine that this process runs on, for a model on ``device``."""
    from xdetr_model.device import describe_processor

    return describe_processor(device) | {name: metadata.version(name) for name in LIBRARIES}


def machines_of(shards: Iterable[ShardStats]) -> list[Machine]:
    """The kinds of machine that labelled the shards, each once, in an order of their own."""
    kinds = {msgspec.json.encode(one.machine, order="sorted"): one.machine for one in shards if one.machine}
    return [kind for _, kind in sorted(kinds.items())]


def check_machine(here: Machine, begun_on: Sequence[Machine], out: str) -> None:
    """Raises ConfigError where shards of ``out`` are done, and none of them on this kind of machine."""
    if begun_on and here not in begun_on:
        raise ConfigError(
            f"{out}: its shards so far were labelled on another kind of machine ({_difference(here, begun_on)}), where "
            "scores have other last bits; go on there, or say --other-machine to go on here"
        )


class Mixture:
    """Watches shards come, and says once that not all are of one kind of machine; ``begun_on`` are earlier ones'."""

    def __init__(self, begun_on: Sequence[Machine]) -> None:
        self._kinds = list(begun_on)
        self._said = False

    def watched(self, stats: ShardStats) -> ShardStats:
        """Takes a new shard into account, and hands it on."""
        if stats.machine and stats.machine not in self._kinds:
            self._kinds.append(stats.machine)
        if len(self._kinds) > 1 and not self._said:
            self._said = True
            console.warn(
                f"shards are labelled on several kinds of machine ({_difference(self._kinds[-1], self._kinds[:-1])}), "
                "so last bits of scores depend on which took which; the manifest lists all kinds"
            )
        return stats


def _difference(here: Machine, others: Sequence[Machine]) -> str:
    """What sets a kind apart from the one that is nearest to it."""
    apart = [
        [
            f"{name} {other.get(name)}, here {here.get(name)}"
            for name in here | other
            if here.get(name) != other.get(name)
        ]
        for other in others
    ]
    return "; ".join(min(apart, key=len))
