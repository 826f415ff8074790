"""The fuzzer on a small number of mutants; ``make faults`` takes a thousand."""

from pathlib import Path

import pytest

from tests.faults.inputs import fuzz, make_kinds
from tests.faults.mutants import MUTATIONS, mutant


def test_a_mutant_is_a_function_of_its_seed_and_number_and_differs_from_the_file() -> None:
    data = b'{"images": [{"id": 1, "file_name": "a.jpg"}]}' * 20
    for number in range(3 * len(MUTATIONS)):
        assert mutant(data, 0, number) == mutant(data, 0, number)
    assert sum(mutant(data, 0, number)[1] != data for number in range(70)) > 60


@pytest.mark.slow
def test_no_mutant_is_a_traceback_a_hang_or_a_silent_loss(tmp_path: Path) -> None:
    kinds = make_kinds(tmp_path)
    counts, bad = fuzz(tmp_path, kinds, 4 * len(kinds), seed=1)
    assert bad == []
    assert counts.total() == 4 * len(kinds)
