"""Whose box an object keeps where several were drawn around it: a stated order of sources.

``("instances_*", "*", "grounder")``: COCO's before all that are not named, a model's behind them. A name is a pattern
of ``fnmatch`` for ``Provenance.source``; ``*`` stands for what no other pattern names, at the end if it is not there.
Without an order the box that was met first stays.
"""

import glob
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from xdetr_data.errors import ConfigError

REST = "*"


def check_order(order: Sequence[str], option: str) -> None:
    """Raises ConfigError for a name that is empty or stands twice."""
    for name in order:
        if not name or list(order).count(name) > 1:
            raise ConfigError(f"{option} {name!r}: must name every source once, as {option} 'instances_*' {option} '*'")


def check_named(order: Sequence[str], option: str, sources: Sequence[str]) -> None:
    """Raises ConfigError for a name that none of the ``sources`` has."""
    for name in order:
        if name != REST and not any(fnmatchcase(source, name) for source in sources):
            known = ", ".join([*dict.fromkeys(sources), REST])
            raise ConfigError(f"{option} {name!r} names nothing that is given: {known}")


def with_files(order: Sequence[str], name: str, sources: Iterable[str]) -> tuple[str, ...]:
    """The order with the very ``sources`` in the place of a ``name`` that stands for them."""
    files = [glob.escape(source) for source in dict.fromkeys(sources)]
    return tuple(one for place in order for one in (files if place == name else [place]))


def rank(source: str, order: Sequence[str]) -> int:
    """Where a source stands in an order: the lower number's box wins."""
    for place, name in enumerate(order):
        if name != REST and fnmatchcase(source, name):
            return place
    return list(order).index(REST) if REST in order else len(order)
