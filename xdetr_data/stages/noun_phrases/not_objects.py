"""Which phrases name no object: the rules of ``not_objects.yaml``, applied to a phrase and the words around it."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import msgspec

_ANY = "*"
#: How many words before and after a phrase a rule can look at.
FARTHEST = 3


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule; the head of ``not_objects.yaml`` says what each condition means. None: no condition."""

    why: str
    heads: frozenset[str]
    others: frozenset[str] | None = None
    with_: frozenset[str] | None = msgspec.field(default=None, name="with")
    determiners: frozenset[str] | None = None
    before: frozenset[str] | None = None
    after: frozenset[str] | None = None
    unless_after: frozenset[str] = frozenset()
    drops: tuple[str, ...]
    keeps: tuple[str, ...]

    def fits(self, phrase: "PhraseInContext") -> bool:
        """Whether the rule drops this phrase, whose head is one of the rule's."""
        if self.others is not None and not self.others.issuperset(phrase.others):
            return False
        if self.with_ is not None and self.with_.isdisjoint(phrase.others):
            return False
        if self.determiners is not None and not self.determiners.issuperset(phrase.determiners or ("",)):
            return False
        if self.before is not None and self.before.isdisjoint(phrase.what_precedes()):
            return False
        if self.after is None and not self.unless_after:
            return True
        following = phrase.what_follows()
        if not self.unless_after.isdisjoint(following):
            return False
        return self.after is None or not self.after.isdisjoint(following)


class PhraseInContext(msgspec.Struct, frozen=True):
    """A phrase's words by their role, and its neighbours in the sentence, all in lower case."""

    determiners: Sequence[str]
    others: Sequence[str]
    head: str
    before: Sequence[str]
    after: Sequence[str]

    def what_precedes(self) -> list[str]:
        """The last word, the last two, the last three; "" at the beginning of a sentence."""
        return [" ".join(self.before[-count:]) for count in range(1, FARTHEST + 1)]

    def what_follows(self) -> list[str]:
        """The next word, the next two, the next three; "" at the end of a sentence."""
        return [" ".join(self.after[:count]) for count in range(1, FARTHEST + 1)]


@cache
def load_rules() -> tuple[Rule, ...]:
    """The packaged rules, in the file's order."""
    text = files("xdetr_data.stages.noun_phrases").joinpath("not_objects.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=tuple[Rule, ...])


class NotObjects:
    """Answers for one phrase after another. Rules are indexed by head, so that most phrases cost one look-up."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """The rules are tried in the order given, those for any head last."""
        anywhere = tuple(rule for rule in rules if _ANY in rule.heads)
        heads = frozenset().union(*(rule.heads for rule in rules)) - {_ANY}
        self._anywhere = anywhere
        #: Heads that some rule names; a phrase with another head is dropped only beside one of ``cues``.
        self.heads = heads
        self._by_head = {head: (*(rule for rule in rules if head in rule.heads), *anywhere) for head in heads}
        #: Words that can set off a rule for any head: a determiner or the word before.
        self.cues = frozenset().union(*((rule.determiners or set()) | (rule.before or set()) for rule in anywhere))

    def rule_for(self, phrase: PhraseInContext) -> Rule | None:
        """The rule that drops the phrase, or None for an object."""
        for rule in self._by_head.get(phrase.head, self._anywhere):
            if rule.fits(phrase):
                return rule
        return None
