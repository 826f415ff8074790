"""What the loader processes are asked for: which samples a step takes, and where they lie."""

from collections.abc import Iterator, Mapping

from xdetr_data.loading.order import Place, Schedule
from xdetr_data.loading.visits import Visit, Visits
from xdetr_model.train.batch import SourceName

Wanted = dict[SourceName, list[tuple[Place, Visit]]]
Request = tuple[int, Wanted]  # the slot to fill, and the samples to fill it with


class Requests:
    """An epoch's requests from its step ``first`` on; shards are walked here, once, as their turn comes."""

    def __init__(
        self, schedule: Schedule, sets: Mapping[SourceName, Visits], epoch: int, first: int, slots: int
    ) -> None:
        self._schedule, self._sets, self._epoch, self._first, self._slots = schedule, sets, epoch, first, slots

    def __len__(self) -> int:
        return self._schedule.steps_per_epoch - self._first

    def __iter__(self) -> Iterator[Request]:
        for step in range(self._first, self._schedule.steps_per_epoch):
            places = self._schedule.step(self._epoch, step)
            wanted: Wanted = {
                name: [(place, one.locate(place.shard, place.visit)) for place in places[name]]
                for name, one in self._sets.items()
            }
            yield step % self._slots, wanted
