"""``xdetr-eval flickr30k``: recall of Flickr30k Entities' phrases, by both protocols of MDETR and by category."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.evaluate.result import Figure, Result, Table, Worst, figure
from pipelines.evaluate.tasks import Answered
from pipelines.evaluate.tasks.phrases import asked, note_mistake, phrases_of
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage, Query
from xdetr_data.record import Phrase as LabelledPhrase
from xdetr_model.evaluate.phrases import ALL, GroundedPhrase, PhraseRecall, Protocol, phrase_recall

PROTOCOLS: tuple[Protocol, ...] = ("any", "merged")
SAYS = {
    "any": "MDETR's any box: IoU 0.5 with any box of the chain",
    "merged": "MDETR's merged boxes: IoU 0.5 with their hull",
}
COMPARABLE = "with published R@k ({protocol}), if the photos are all of Flickr30k Entities' val or test"
NO_CHAIN = "--data: no phrase has a chain (EN#…); give a dataset of 'xdetr-data build flickr30k'"
_CHAIN = re.compile(r"EN#[^/]+/(.+)")


def of(manifest: Manifest) -> "Flickr30k":
    """Where phrases have no chains ``score`` says so."""
    return Flickr30k()


def categories(phrase: LabelledPhrase) -> tuple[str, ...]:
    """The categories that a phrase's chain says (``EN#12/people/clothing``), none where it says none."""
    found = _CHAIN.fullmatch(phrase.provenance.detail)
    return tuple(found[1].split("/")) if found else ()


@dataclass(frozen=True)
class Flickr30k:
    """See the module."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    asks_proposals = False

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """Phrases whose chain has a box."""
        return asked(record, _is_judged)

    def check(self, records: Iterable[GroundedImage]) -> None:
        """See ``Task``."""
        phrases = (phrase for record in records for query in record.queries for phrase in query.phrases)
        if not any(phrase.regions and categories(phrase) for phrase in phrases):
            raise InputError(NO_CHAIN)

    def score(self, answered: Answered) -> Result:
        """See ``Task``."""
        grounded, worst = [], Worst()
        for one in phrases_of(answered, _is_judged):
            found = one.answer.boxes_xyxy
            grounded.append(GroundedPhrase(found_xyxy=found, true_xyxy=one.true_xyxy, tags=categories(one.phrase)))
            note_mistake(one, worst)
        if not any(one.tags for one in grounded):
            raise InputError(NO_CHAIN)
        scores = {protocol: phrase_recall(grounded, protocol=protocol) for protocol in self.protocols}
        return Result(
            task="flickr30k",
            measured={"phrases": len(grounded)},
            figures=[one for protocol, own in scores.items() for one in _figures(protocol, own[ALL])],
            tables=[_by_category(protocol, own) for protocol, own in scores.items()],
            mistakes=worst.mistakes(),
        )


def _is_judged(query: Query, phrase: LabelledPhrase) -> bool:
    return bool(phrase.regions)


def _figures(protocol: Protocol, scores: PhraseRecall) -> Iterator[Figure]:
    comparable = COMPARABLE.format(protocol=protocol)
    for k, value in scores.recall.items():
        yield figure(f"R@{k} {protocol}", value, SAYS[protocol], comparable)
    bound = f"{SAYS[protocol]}; among all boxes that were kept of a phrase (--keep)"
    yield figure(f"upper bound {protocol}", scores.bound, bound, comparable)


def _by_category(protocol: Protocol, scores: dict[str, PhraseRecall]) -> Table:
    return Table(
        title=f"by category, {protocol}",
        columns=["category", "phrases", "R@1", "R@5", "R@10", "upper bound"],
        rows=[[name, one.phrases, *one.recall.values(), one.bound] for name, one in scores.items()],
    )
