"""Queries and their answers: the one way from vectors to what is shown, for the commands and the page."""

from collections.abc import Sequence

from pipelines.search.answers import Answers, Found, answer_of, state_of
from pipelines.search.database import Database
from pipelines.search.encoder import Query
from pipelines.search.where import parse_where


def find(
    database: Database, queries: Sequence[Query], *, top: int, where: str | None, same_iou: float, exact: bool = False
) -> Answers:
    """The best ``top`` objects of every query, and whether their photos are there. ConfigError for a wrong filter."""
    fits = parse_where(where)
    found = []
    for query in queries:
        hits = database.answers(query.vector, top, where=fits, same_iou=same_iou, exact=exact)
        answers = [
            answer_of(database, rank, hit, state_of(database, hit.key)) for rank, hit in enumerate(hits, start=1)
        ]
        found.append(Found(kind=query.kind, query=query.name, answers=answers))
    index = database.index
    return Answers(
        index=database.folder.url,
        generation=index.generation,
        fingerprint=index.model.fingerprint,
        where=where,
        is_exact=exact or database.is_exact,
        queries=found,
    )
