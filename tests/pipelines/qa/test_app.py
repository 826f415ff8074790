"""The App in a real browser: labels, counts and saved views stand in its page, and tags too."""

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
from tests.pipelines.mongod import free_port, needs_mongod
from tests.pipelines.qa.shown import TEXTS, key_of, write_shown

ROOT = Path(__file__).parents[3]
PHOTOS = 10
SLOWEST_MS = 120_000  # of one step in the page, on a machine that others use too
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
        page.set_default_timeout(SLOWEST_MS)
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


def test_a_view_shows_the_words_of_its_labels_and_how_many_there_are(
    page: Any, served: tuple[str, str], tmp_path: Path
) -> None:
    page.goto(f"{served[0]}?view=low-confidence")
    page.locator("[data-cy=entry-counts]").get_by_text("1 sample", exact=True).wait_for()
    assert page.locator("[data-cy=looker]").count() == 1
    page.locator("[data-cy=looker]").click()
    photo = page.locator("[data-cy=modal]")
    photo.locator("[data-cy=sidebar-field-arrow-enabled-phrases]").click()
    labels = photo.locator("[data-cy='categorical-filter-phrases.detections.label']")
    for words, boxes in {"red ball": "1", "two blue boxes": "2", "The ball": "1"}.items():
        row = labels.locator(f"[data-cy='checkbox-{words}']")
        row.get_by_text(words, exact=True).wait_for()
        row.locator("[data-cy=entry-count-all]").get_by_text(boxes, exact=True).wait_for()
    queries = photo.locator("[data-cy='categorical-filter-phrases.detections.query']")
    for sentence in TEXTS:
        queries.get_by_text(sentence, exact=True).wait_for()
    page.screenshot(path=artefacts(tmp_path) / "qa-photo.png")
    page.keyboard.press("Escape")


def test_a_label_that_was_tagged_stands_in_the_view_of_tagged_ones(
    page: Any, served: tuple[str, str], fo: Any, tmp_path: Path
) -> None:
    dataset = fo.load_dataset(served[1])
    dataset.match(fo.ViewField("key") == key_of(3)).filter_labels(
        "phrases", fo.ViewField("label") == "two blue boxes"
    ).tag_labels("wrong-box")
    page.goto(f"{served[0]}?view=tagged-by-reviewers")
    page.locator("[data-cy=entry-counts]").get_by_text("1 sample", exact=True).wait_for()
    page.locator("[data-cy=sidebar-field-arrow-enabled-_label_tags]").first.click()
    page.locator("[data-cy='checkbox-wrong-box']").get_by_text("wrong-box", exact=True).wait_for()
    page.screenshot(path=artefacts(tmp_path) / "qa-tagged.png")


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
