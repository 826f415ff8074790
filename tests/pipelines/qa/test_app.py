"""The App in a real browser: labels, counts and saved views stand in its page, and a click there is a decision."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.browser import artefacts, chromium, needs_chromium
from tests.pipelines.qa.conftest import free_port, needs_mongod
from tests.pipelines.qa.shown import write_shown
from tests.pipelines.tiny import run_cli
from xdetr_data.decisions import read_decisions
from xdetr_data.storage import Folder

ROOT = Path(__file__).parents[3]
PHOTOS, LABELS = 10, 42
VIEW = "[data-cy=saved-views-{}-selection-option]"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

pytestmark = [needs_chromium, needs_mongod]


@pytest.fixture(scope="module")
def served(fiftyone_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """``xdetr-data qa`` as a process of its own; its address, and the name of the dataset."""
    folder = tmp_path_factory.mktemp("app")
    out, name, port = write_shown(folder / "out", photos=PHOTOS), f"app-{uuid.uuid4().hex[:8]}", free_port()
    command = [sys.executable, "-m", "pipelines.cli", "qa", str(out), f"--name={name}", f"--port={port}"]
    log = folder / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}/datasets/{name}"
            for _ in range(1200):
                assert process.poll() is None, log.read_text()
                if f"look at it: {address}" in log.read_text():
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"no App after two minutes: {log.read_text()}")
            yield address, name
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def page(served: tuple[str, str]) -> Iterator[Any]:
    """The App's page, loaded."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'xdetr-data[dev]'")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(40_000)
        page.add_locator_handler(page.get_by_text("Dismiss", exact=True), lambda button: button.click())  # an advert
        page.goto(served[0])
        page.locator("[data-cy=entry-counts]").get_by_text(f"{PHOTOS} samples").wait_for()
        yield page
        browser.close()


def test_photos_labels_and_saved_views_stand_in_the_page(page: Any, tmp_path: Path) -> None:
    from pipelines.qa.views import NAMES

    page.locator("[data-cy=looker]").nth(PHOTOS - 1).wait_for(state="attached")
    assert page.locator("[data-cy=looker]").count() == PHOTOS
    for field in ("phrases", "unboxed", "regions"):
        assert page.locator(f"[data-cy=sidebar-field-{field}]").count() == 1
    page.locator("[data-cy=saved-views-selection]").click()
    for name in NAMES:
        page.locator(VIEW.format(name.replace(" ", "-"))).get_by_text(name, exact=True).wait_for()
    page.screenshot(path=artefacts(tmp_path) / "qa-views.png")


@pytest.mark.slow
def test_a_view_shows_its_labels_and_a_tag_clicked_there_is_exported(
    page: Any, served: tuple[str, str], fo: Any, tmp_path: Path
) -> None:
    page.goto(f"{served[0]}?view=low-confidence")
    page.locator("[data-cy=entry-counts]").get_by_text("1 sample", exact=True).wait_for()
    page.locator("[data-cy=sidebar-field-arrow-enabled-phrases]").click()
    labels = page.locator("[data-cy='categorical-filter-phrases.detections.label']")
    for words in ("red ball", "two blue boxes", "The ball"):
        labels.get_by_text(words, exact=True).wait_for()
    queries = page.locator("[data-cy='categorical-filter-phrases.detections.query']")
    queries.get_by_text("A red ball and two blue boxes.").wait_for()
    page.screenshot(path=artefacts(tmp_path) / "qa-low-confidence.png")
    page.locator("[data-cy=action-tag-sample-labels]").click()
    page.get_by_text("Labels", exact=True).last.click()
    box = page.get_by_placeholder("+ tag", exact=False)
    box.fill("wrong-box")
    box.press("Enter")
    page.screenshot(path=artefacts(tmp_path) / "qa-tag.png")
    page.get_by_text("Apply", exact=True).click()
    review = tmp_path / "review.parquet"
    for _ in range(60):
        assert run_cli("review", "export", f"--dataset={served[1]}", f"--out={review}").code == 0
        if decisions := read_decisions(Folder(str(tmp_path)), review.name)[1]:
            break
        time.sleep(1)
    assert sorted((one.place, one.action) for one in decisions) == [
        ("queries[0].phrases[0].regions[0]", "wrong-box"),
        ("queries[0].phrases[1].regions[1]", "wrong-box"),
        ("queries[0].phrases[1].regions[2]", "wrong-box"),
        ("queries[1].phrases[0].regions[0]", "wrong-box"),
    ]


def test_nothing_but_this_machine_is_asked(served: tuple[str, str]) -> None:
    port = served[0].split(":")[2].partition("/")[0]
    listening = {
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    mine = {one for one in listening if one.endswith(f":{int(port):04X}")}
    assert mine == {f"0100007F:{int(port):04X}"}
