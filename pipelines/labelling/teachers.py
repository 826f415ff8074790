"""The grounders of a run: what they are called, and several of them asked as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xdetr_data.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from pipelines.labelling.grounding import Grounder
    from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates, PhraseQuery

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,39})=(.+)", re.DOTALL)
RESERVED = ("any", "majority")


class Teacher(NamedTuple):
    """A checkpoint and what it is called."""

    name: str
    ckpt: str


Answers = tuple["PhraseCandidates", ...]  # of one phrase, in the order of the teachers


def teachers_of(ckpts: Sequence[str]) -> tuple[Teacher, ...]:
    """The teachers that ``--ckpt [NAME=]DIR|HUB_ID`` flags name; without a name, the last part of its address is one.

    Raises ConfigError where two are called alike, or one like a way to agree.
    """
    found = [_teacher(ckpt) for ckpt in ckpts]
    for one in found:
        if sum(other.name == one.name for other in found) > 1:
            raise ConfigError(f"--ckpt: two checkpoints are called {one.name!r}; name them: --ckpt NAME={one.ckpt}")
        if one.name in RESERVED:
            raise ConfigError(f"--ckpt {one.ckpt}: {one.name!r} is a --consensus; name it: --ckpt NAME={one.ckpt}")
    return tuple(found)


def _teacher(ckpt: str) -> Teacher:
    named = None if Path(ckpt).expanduser().exists() else _NAMED.fullmatch(ckpt)
    if named is not None:
        return Teacher(*named.groups())
    return Teacher(ckpt.rstrip("/").rpartition("/")[2] or ckpt, ckpt)


def all_of(teachers: Sequence[Teacher]) -> str:
    """The checkpoints of teachers, as errors name them."""
    return ", ".join(one.ckpt for one in teachers)


def check_consensus(consensus: str, teachers: Sequence[str]) -> None:
    """Raises ConfigError for a ``--consensus`` that teachers of these names cannot have."""
    known = (*RESERVED, *teachers)
    if consensus and consensus not in known:
        raise ConfigError(f"--consensus {consensus!r} is no teacher of this run: use one of {', '.join(known)}")


class Teachers:
    """Asks each of some grounders the same; what ``pipelines.labelling.grounding`` takes as one grounder."""

    def __init__(self, grounders: Sequence[Grounder]) -> None:
        self._grounders = grounders

    def prepare(self, photo: Image.Image) -> tuple[Any, ...]:
        """The photo as each of them wants it."""
        return tuple(one.prepare(photo) for one in self._grounders)

    def ground_prepared(
        self, photos: Sequence[tuple[Any, ...]], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Answers]]:
        """For every phrase of every photo what each of them answers."""
        answers = [
            grounder.ground_prepared([photo[number] for photo in photos], phrases, keep)
            for number, grounder in enumerate(self._grounders)
        ]
        return [list(zip(*of_photo, strict=True)) for of_photo in zip(*answers, strict=True)]

    def forget(self) -> None:
        """Has all of them forget."""
        for one in self._grounders:
            one.forget()
