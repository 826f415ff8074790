"""The same FiftyOne as in the tests of ``qa``."""

from tests.pipelines.qa.conftest import fiftyone_home, fo

__all__ = ["fiftyone_home", "fo"]
