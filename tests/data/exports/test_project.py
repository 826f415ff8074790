"""What a format holds of any record: what is lost is declared and counted, and nothing else changes."""

from hypothesis import given

from tests.exchange import exchangeable, plain
from xdetr_data.exports.formats import FORMATS, ODVG, ODVG_CLASSES
from xdetr_data.exports.losses import MEANING, Loss
from xdetr_data.exports.project import project
from xdetr_data.record import GroundedImage

# Which say that something is missing that ``plain`` takes away anyway.
UNSEEN = {Loss.GROUP, Loss.PROVENANCE}


@given(exchangeable())
def test_losses_are_declared_and_without_one_the_record_is_what_it_was(record: GroundedImage) -> None:
    for target in FORMATS.values():
        held, losses = project(record, target)
        assert set(losses) <= target.loses, target.name
        if not set(losses) - UNSEEN:
            assert held is not None
            assert plain(held) == plain(record)
        elif held is not None:
            assert plain(held) != plain(record) or Loss.KEY in losses


@given(exchangeable())
def test_what_a_format_holds_loses_nothing_more(record: GroundedImage) -> None:
    for target in (ODVG, ODVG_CLASSES):
        held, _ = project(record, target)
        if held is not None:
            again, losses = project(held, target)
            assert again == held
            assert set(losses) <= UNSEEN


def test_every_loss_is_explained() -> None:
    assert set(MEANING) == set(Loss)
