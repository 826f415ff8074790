"""Answers on the terminal."""

from pipelines import console
from pipelines.search.answers import Answers


def show(answers: Answers) -> None:
    """A table for each query; says where nothing fits, and which photos are not there."""
    for found in answers.queries:
        if not found.answers:
            fits = f" that fits --where {answers.where!r}" if answers.where else ""
            console.say(f"{found.query}: the index holds no object{fits}")
            continue
        rows = [
            [
                str(one.rank),
                f"{one.score:.4f}",
                f"{one.key}:{one.object}",
                ",".join(f"{side:.0f}" for side in one.box_xyxy),
                one.file_name if one.photo == "there" else f"{one.file_name} ({one.photo})",
            ]
            for one in found.answers
        ]
        console.table(found.query, ["", "score", "instance", "box, pixels", "photo"], rows)
    lost = {one.key for found in answers.queries for one in found.answers if one.photo != "there"}
    if lost:
        console.warn(f"{len(lost):,} of the photos are gone or changed since they were indexed; index them again")
