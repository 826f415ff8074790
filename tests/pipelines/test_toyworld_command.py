"""``xdetr-data toyworld`` as a user meets it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from pipelines.cli import app

RUNNER = CliRunner()


def test_it_draws_says_what_it_drew_and_what_to_do_next(tmp_path: Path) -> None:
    out, sheet = tmp_path / "world", tmp_path / "sheet.png"
    result = RUNNER.invoke(
        app,
        ["toyworld", "--photos", "40", "--workers", "0", "--out", str(out), "--json", "--contact-sheet", str(sheet)],
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["photos_by_collection"]["coco"] == 14
    assert "next: xdetr-data build-mixed-star" in result.stderr
    assert sheet.stat().st_size > 10_000
    assert len(list((out / "photos/coco").iterdir())) == 14


def test_a_taken_folder_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    result = RUNNER.invoke(app, ["toyworld", "--photos", "1", "--workers", "0", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "no toy world" in result.stderr
    assert "Traceback" not in result.output
