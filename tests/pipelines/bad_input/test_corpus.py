"""The corpus as a whole: how many kinds of bad input it holds."""

from tests.pipelines.bad_input import (
    test_annotations,
    test_boxes,
    test_exclusions,
    test_files,
    test_names,
    test_options,
    test_output,
    test_paragraphs,
    test_photos,
)


def kinds() -> list[str]:
    """Names of all kinds, each the id of a test."""
    cases = [
        *test_files.CONTENT,
        *test_files.GZIP,
        *test_files.PLACES,
        *test_paragraphs.CASES,
        *test_annotations.CASES,
        *test_boxes.CASES,
        *test_names.NO_NAMES,
        *test_names.UNSAFE,
        *test_names.STRANGE,
        *test_photos.BAD,
        *test_exclusions.BAD,
        *test_options.FLAGS,
    ]
    return [
        *(case.id for case in cases),
        *(f"config-{kind}" for kind in test_options.CONFIGS),
        *(f"resume-with-other-{kind}" for kind in test_output.CHANGES),
    ]


def test_there_are_more_than_two_hundred_kinds_of_bad_input_each_with_its_own_name() -> None:
    assert len(set(kinds())) == len(kinds())
    assert len(kinds()) > 600
