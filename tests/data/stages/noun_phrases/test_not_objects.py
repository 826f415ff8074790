"""Every rule of ``not_objects.yaml`` drops and keeps what it says, and every entry of it can fire."""

import pytest

from xdetr_data.stages.noun_phrases.not_objects import NotObjects, PhraseInContext, Rule, load_rules
from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases

RULES = load_rules()
DROPS = [(rule.why, example) for rule in RULES for example in rule.drops]
KEEPS = [(rule.why, example) for rule in RULES for example in rule.keeps]


def found(stage: NounPhrases, example: str) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The bracketed words' span, and all mentions' spans."""
    before, rest = example.split("[")
    marked, after = rest.split("]")
    sentences = stage([before + marked + after])[0]
    spans = [(s.begin + begin, s.begin + end) for s in sentences for m in s.mentions for begin, end in m.spans]
    return (len(before), len(before) + len(marked)), spans


@pytest.mark.parametrize(("why", "example"), DROPS)
def test_what_a_rule_drops_is_no_mention(noun_phrases: NounPhrases, why: str, example: str) -> None:
    (begin, end), spans = found(noun_phrases, example)
    assert not [span for span in spans if span[0] < end and begin < span[1]], why


@pytest.mark.parametrize(("why", "example"), KEEPS)
def test_what_a_rule_keeps_is_a_mention(noun_phrases: NounPhrases, why: str, example: str) -> None:
    marked, spans = found(noun_phrases, example)
    assert marked in spans, why


def contexts(rule: Rule) -> list[PhraseInContext]:
    """One phrase for each head, determiner, word between, neighbour of a rule."""
    first = {
        "determiners": sorted(rule.determiners or {"the"})[0],
        "others": sorted(rule.with_)[0] if rule.with_ else "",
        "head": sorted(rule.heads)[0],
        "before": sorted(rule.before or {"zzz"})[0],
        "after": sorted(rule.after or {"zzz"})[0],
    }
    entries = [
        *(("determiners", word) for word in rule.determiners or ()),
        *(("others", word) for word in (rule.others or ()) if rule.with_ is None),
        *(("head", word) for word in rule.heads),
        *(("before", words) for words in rule.before or ()),
        *(("after", words) for words in rule.after or ()),
    ]
    return [
        PhraseInContext(
            **{key: value if key == "head" else value.split() for key, value in {**first, key: word}.items()}
        )
        for key, word in entries
    ]


@pytest.mark.parametrize("rule", RULES, ids=[f"{number} {rule.why}" for number, rule in enumerate(RULES)])
def test_every_entry_of_a_rule_fires(rule: Rule) -> None:
    for context in contexts(rule):
        assert rule.fits(context), context
        if "*" not in rule.heads:
            assert NotObjects([rule]).rule_for(context) is rule


def test_a_rule_for_any_head_is_found_by_its_cue() -> None:
    answers = NotObjects(RULES)
    assert {"no", "without"} <= answers.cues
    without = PhraseInContext(determiners=["a"], others=[], head="hat", before=["man", "without"], after=[])
    assert answers.rule_for(without) is not None


def test_most_heads_concern_no_rule() -> None:
    assert NotObjects(RULES).heads.isdisjoint({"dog", "table", "woman", "tree", "grass", "sky", "plate", "wall"})
