"""Pages without the drawing of charts and figures, which takes most of the time: tests that look at them ask."""

import os

import pytest

from pipelines.report import figures, page


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    if "charts" not in request.fixturenames:
        monkeypatch.setattr(page, "chart_svgs", lambda bars: (b"<svg/>", b"<svg/>"))
        monkeypatch.setattr(figures, "chart_png", lambda bars, names: b"\x89PNG")
        monkeypatch.setattr(figures, "_side_by_side", lambda report, row: b"\x89PNG")


@pytest.fixture
def charts() -> None:
    """Draws the charts and figures."""
