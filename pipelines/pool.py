"""A pool of Ray actors that outlives its members: lost, stopped and new nodes, and one line where the head dies.

An item belongs to the pool and not to a process: whose process or node is lost, leaves its item to another. Members
are asked for as long as there is work for them, so that a node that joins takes part. One that gives no sign of life is
told of, and in the end ended, its item done by another. Doing an item twice is harmless, as whoever does it writes the
same bytes under the same name.

Not Ray's own retries, ``ray.util.ActorPool`` or Ray Data: they bind an item to an actor, and wait for ever where the
actor finds no place again.
"""

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pipelines import console
from pipelines.cluster import LOOK_S, Lifelines, why
from xdetr_data.errors import XdetrDataError

SILENT_S = 60.0  # without a sign of life, until people are told
GIVEN_UP_S = 120.0  # until the item goes to another
MOST_LOSSES = 4  # of an item, which may be what ends its processes
MOST_FAILED_STARTS = 12  # in a row, over all members

Work = Callable[[Any], Any]
Make = Callable[[Any], Work]


class _Job(NamedTuple):
    """What members do: ``make(context)`` of every item. The context is an object of Ray's, in a list so that it is read
    once a process and not once an item."""

    number: int
    make: Make
    context: Sequence[Any]


class _Process:
    """A process of the pool: what a job loads, it loads once, when the job's first item comes."""

    def __init__(self) -> None:
        self._job: int | None = None
        self._work: Work | None = None

    def work(self, job: _Job, item: Any) -> Any:
        import ray

        if self._work is None or self._job != job.number:
            self._work = None  # what the job before loaded makes room first
            self._work = job.make(ray.get(job.context[0]))
            self._job = job.number
        return self._work(item)

    def where(self) -> str:
        """The node, as people and Ray know it; a sign of life, as it is answered beside the work."""
        import ray

        return f"{ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:8]})"


@dataclass(slots=True, eq=False)
class _Member:
    """A process as the driver knows it: ``where`` once it has started, ``item`` the place of what it works on."""

    actor: Any
    where: str = ""
    item: int | None = None
    sign: float = 0.0  # when it last gave one
    is_asked: bool = True
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why a member is there no more."""

    why: str


class _Event(NamedTuple):
    """What came of a call: what the member answered or did, or that it is lost."""

    member: _Member
    what: Literal["sign", "work"]
    value: Any


class Pool:
    """At most ``size`` processes, each with the resources of ``needs``, for one job after the other."""

    def __init__(self, ray: Any, size: int, needs: Mapping[str, int]) -> None:
        self._ray = ray
        self._size = size
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"watch": 1}, **needs)(_Process)
        self._lifelines = Lifelines(ray)
        self._members: list[_Member] = []
        self._calls: dict[Any, tuple[_Member, Literal["sign", "work"]]] = {}
        self._jobs = itertools.count()
        self._failed_starts = 0
        self._looked = self._served = time.monotonic()

    def run(self, make: Make, context: Any, items: Sequence[Any]) -> Iterator[Any]:
        """Yields ``make(context)(item)`` of every item, as they are ready.

        Raises what an item raised, and XdetrDataError where an item loses its processes again and again, where none can
        be started, and where the cluster's head is gone.
        """
        if not items:
            return
        job = _Job(next(self._jobs), make, [self._ray.put(context)])
        self._looked = self._served = time.monotonic()
        for member in self._members:
            member.sign = self._looked
        waiting, left = deque(range(len(items))), len(items)
        losses: Counter[int] = Counter()
        try:
            while left:
                self._fill(min(self._size, left))
                for member in self._members:
                    if waiting and member.where and member.item is None:
                        member.item = waiting.popleft()
                        self._call(member, "work", job, items[member.item])
                for event in self._events():
                    item = event.member.item
                    if isinstance(event.value, _Loss):
                        self._lose(event.member, event.value.why)
                        if item is not None:
                            losses[item] += 1
                            _check_losses(losses[item], event.value.why)
                            waiting.appendleft(item)
                    elif event.what == "work":
                        event.member.item = None
                        left -= 1
                        yield event.value
        finally:
            for member in [one for one in self._members if one.item is not None]:
                self._end(member)

    def close(self) -> None:
        """Ends all processes."""
        for member in list(self._members):
            self._end(member)

    def _call(self, member: _Member, what: Literal["sign", "work"], *args: Any) -> None:
        if what == "sign":
            reference = member.actor.where.options(concurrency_group="watch").remote()
        else:
            reference = member.actor.work.remote(*args)
        self._calls[reference] = (member, what)

    def _fill(self, wanted: int) -> None:
        """Asks for members that are missing, unless nobody is there to start them."""
        if not self._lifelines.hold():
            return
        for _ in range(wanted - len(self._members)):
            member = _Member(self._actor.remote())
            self._members.append(member)
            self._call(member, "sign")

    def _events(self) -> Iterator[_Event]:
        """What is ready, after ``LOOK_S`` at the latest, and then who has been silent for too long."""
        if self._calls:
            ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=LOOK_S)
        else:
            ready = []
            time.sleep(LOOK_S)
        for reference in ready:
            member, what = self._calls.pop(reference)
            value = self._value(reference)
            if what == "sign" and not isinstance(value, _Loss):
                member.where, member.sign, member.is_asked, member.is_told = value, time.monotonic(), False, False
                self._failed_starts = 0
            yield _Event(member, what, value)
        yield from self._silent()

    def _value(self, reference: Any) -> Any:
        """The result; raises what the item raised."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if not isinstance(error.cause, errors.RayError):
                raise error.cause from error
            return _Loss(why(error.cause))
        except errors.RayError as error:
            return _Loss(why(error))

    def _silent(self) -> list[_Event]:
        """Asks all members for a sign of life, now and then; those that have given none for too long."""
        now = time.monotonic()
        since = now - self._looked
        if since < LOOK_S:
            return []
        self._looked = now
        given_up = []
        for member in [one for one in self._members if one.where]:
            if since > 3 * LOOK_S:  # this process was elsewhere, and asked nobody
                member.sign = now
            silent_s = now - member.sign
            if not member.is_asked:
                member.is_asked = True
                self._call(member, "sign")
            elif silent_s > GIVEN_UP_S:
                given_up.append(_Event(member, "sign", _Loss(f"no sign of life for {silent_s:.0f} s")))
            elif silent_s > SILENT_S and not member.is_told:
                member.is_told = True
                console.warn(
                    f"no progress for {SILENT_S:.0f} s on node {member.where}: a process there gives no sign of life; "
                    f"after {GIVEN_UP_S:.0f} s its work goes to another"
                )
        if any(member.where for member in self._members):
            self._served = now
        elif now - self._served > SILENT_S:
            self._served = now
            console.warn(f"no process has a place to work in yet, and none had in the last {SILENT_S:.0f} s; waiting")
        return given_up

    def _lose(self, member: _Member, why: str) -> None:
        """Tells of a member's end; raises XdetrDataError where none can be started at all."""
        self._end(member)
        if member.where:
            goes_on = "" if member.item is None else "; what it worked on goes to another"
            console.warn(f"lost a process on node {member.where} ({why}){goes_on}")
            return
        self._failed_starts += 1
        if self._failed_starts == MOST_FAILED_STARTS:
            raise XdetrDataError(
                f"{MOST_FAILED_STARTS} processes in a row did not start (the last: {why}); all nodes need this "
                "version of the project and its packages; then go on with --resume"
            )

    def _end(self, member: _Member) -> None:
        self._members.remove(member)
        self._calls = {reference: call for reference, call in self._calls.items() if call[0] is not member}
        self._ray.kill(member.actor)


def _check_losses(losses: int, why: str) -> None:
    if losses == MOST_LOSSES:
        raise XdetrDataError(
            f"one piece of work lost its process {losses} times (the last: {why}); go on with --resume, with fewer "
            "--workers where memory ran out"
        )
