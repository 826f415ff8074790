"""The page of an evaluation as a browser shows it: complete, quiet, and asking for nothing."""

import re
from pathlib import Path

from tests.pipelines.browser import artefacts, needs_chromium, screenshot, visit
from tests.pipelines.evaluate.cli import run_eval
from tests.pipelines.evaluate.conftest import TOY


@needs_chromium
def test_two_runs_on_a_page(sets: dict[str, Path], tmp_path: Path) -> None:
    kept = [tmp_path / f"keep-{keep}" for keep in (3, 300)]
    for place, keep in zip(kept, (3, 300), strict=True):
        args = ("--data", sets["lvis"], "--out", place, "--keep", keep)
        assert run_eval("lvis", "--ckpt", TOY, *args).code == 0
    page = tmp_path / "page.html"
    assert run_eval("score", *kept, "--data", sets["lvis"], "--html", page).code == 0
    seen = visit(f"file://{page}")
    assert seen.console == ""
    assert seen.requests == ()
    assert all(str(one) in seen.dom for one in kept)
    assert "AP fixed" in seen.dom
    assert "APr standard" in seen.dom
    assert re.search(r"<polyline[^>]*points=\"[\d., ]+\"", seen.dom)
    assert "data:image/" in seen.dom  # the mistakes, on their photos
    dark, light = (
        screenshot(f"file://{page}", artefacts(tmp_path) / f"evaluation-{name}.png", dark=name == "dark")
        for name in ("dark", "light")
    )
    assert dark.read_bytes() != light.read_bytes()
