"""The demo, once for real with the bundled checkpoint: a table, commands that work by hand, files, and reports."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipelines.bundled import checkpoint
from pipelines.cli import app
from pipelines.demo import CHECKPOINT, SOUGHT
from pipelines.search.cli import app as search_app
from tests.pipelines.browser import artefacts, needs_chromium, screenshot, visit
from tests.pipelines.report.document import parse
from tests.pipelines.tiny import Ended, files_of, manifest_of, records_of, run_cli

LABELLED = ("locnar", "locnar-multi", "locnar-multi-trace")

BUNDLED = Path(checkpoint(CHECKPOINT))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "kept"


@pytest.fixture(scope="module")
def demo(folder: Path) -> Ended:
    ended = run_cli("demo", f"--keep={folder}", "--photos=60", "--workers=0")
    assert ended.code == 0, ended.stderr
    return ended


def commands(demo: Ended) -> list[list[str]]:
    """What the demo says to do by hand."""
    lines = [line.removeprefix("$ ") for line in demo.stderr.splitlines() if line.startswith("$ ")]
    return [shlex.split(line) for line in lines]


def table(demo: Ended) -> dict[str, list[float]]:
    """The rows of the last table: numbers by what the labels were chosen by."""
    text = demo.stderr[demo.stderr.index("pseudo-labels against the truth") :]
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in text.splitlines() if "│" in line]
    return {name: [float(value.replace(",", "")) for value in values] for name, *values in rows}


def test_the_checkpoint_comes_with_the_project() -> None:
    assert (BUNDLED / "model.safetensors").is_file()
    assert (BUNDLED / "config.json").is_file()


def test_the_table_scores_the_labels_that_the_shards_hold(demo: Ended, folder: Path) -> None:
    rows = table(demo)
    assert list(rows) == ["paper", "multi", "multi + trace"]
    for name, (labels, right, truths, precision, recall, f1) in zip(LABELLED, rows.values(), strict=True):
        queries = [query for one in records_of(folder / name) for query in one.queries]
        held = sum(len(phrase.regions) for query in queries for phrase in query.phrases)
        assert 0.8 * held <= labels <= held  # phrases that the truth does not know are not judged
        assert 0 < right <= min(labels, truths)
        assert precision == pytest.approx(100 * right / labels, abs=0.06)
        assert recall == pytest.approx(100 * right / truths, abs=0.06)
        assert f1 == pytest.approx(200 * right / (labels + truths), abs=0.06)
    assert len({row[2] for row in rows.values()}) == 1, "all are scored against the same truth"


def test_every_printed_command_is_one_that_the_program_takes(demo: Ended) -> None:
    said = commands(demo)
    assert [one[1] for one in said] == [
        "toyworld", "build-mixed-star", "validate", "pseudo-label", "rethreshold", "rethreshold", "report", "report",
        "index", "query",
    ]  # fmt: skip
    for program, *words in said:
        _parse(program, words)


def _parse(program: str, words: list[str]) -> None:
    """Fails as the command line would where a command or an option is not known, or a value is none."""
    command: Any = get_command({"xdetr-data": app, "xdetr-search": search_app}[program])
    context = command.make_context(program, list(words))
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, list(words))
        context = command.make_context(name, list(words), parent=context)


def test_a_printed_command_makes_the_same_bytes_by_hand(demo: Ended, folder: Path, tmp_path: Path) -> None:
    words = next(one[1:] for one in commands(demo) if one[1] == "rethreshold" and "--trace" in one)
    words[words.index("--out") + 1] = str(tmp_path / "again")
    ended = run_cli(*words)
    assert ended.code == 0, ended.stderr
    before, after = files_of(folder / "locnar-multi-trace"), files_of(tmp_path / "again")
    shards = [name for name in before if name.endswith((".tar", ".parquet"))]
    assert shards
    assert [name for name in shards if before[name] != after[name]] == []


def test_the_demo_does_not_warn_its_user(demo: Ended) -> None:
    assert "warning" not in demo.stderr


def test_what_the_demo_names_at_its_end_is_there(demo: Ended, folder: Path) -> None:
    end = demo.stderr[demo.stderr.index("pseudo-labels against the truth") :]
    for name in ("mixed-star", "locnar-multi-trace", "mixed-star.html", "locnar.html", "search.html", "index"):
        assert str(folder / name) in end
        assert (folder / name).exists()
    assert manifest_of(folder / "mixed-star").rows > 0
    assert f"xdetr-data qa {folder / 'locnar-multi-trace'}" in end
    assert "xdetr-train --run toy" in end
    assert f"xdetr-search serve {folder / 'index'}" in end


def test_its_queries_are_answered(demo: Ended, folder: Path) -> None:
    page = (folder / "search.html").read_text()
    for sought in SOUGHT:
        assert sought in page
    assert page.count("data:image/jpeg") >= 5


@needs_chromium
@pytest.mark.parametrize(("name", "datasets"), [("mixed-star", 1), ("locnar", 2)])
def test_its_reports_show_boxes_and_words_in_a_browser(
    name: str, datasets: int, demo: Ended, folder: Path, tmp_path: Path
) -> None:
    url = (folder / f"{name}.html").as_uri()
    seen = visit(url)
    document = parse(seen.dom)
    assert seen.requests == ()
    assert seen.console == ""
    assert len(document.one("h1").all(of_class="name")) == datasets
    assert document.all("g", of_class="region")
    assert any(mark.text.strip() for mark in document.all("mark"))
    screenshot(url, artefacts(tmp_path) / f"demo-{name}.png", height=2400)


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("here")
    ended = run_cli("demo", f"--keep={tmp_path / 'mine'}")
    assert ended.code == 2
    assert "exists already; name a new folder" in ended.stderr
    assert (tmp_path / "mine").read_text() == "here"
