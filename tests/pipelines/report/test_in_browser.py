"""The report in a real browser: what is drawn, that data never runs, that nothing is asked of a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from tests.pipelines.browser import FLAGS, artefacts, chromium, needs_chromium, screenshot, visit
from tests.pipelines.report.datasets import ALERT, record, scored, write_dataset
from tests.pipelines.report.document import parse
from tests.pipelines.report.test_report_command import hostile_dataset, report

pytestmark = needs_chromium


@pytest.fixture
def page(charts: None, tmp_path: Path) -> Path:
    """Two datasets that share photos, one of them with an address, a file name and sentences full of markup."""
    model = write_dataset(tmp_path / "model", scored(6))
    out = tmp_path / "report.html"
    ended = report(model, hostile_dataset(tmp_path), out=out, more=("--samples", "3"))
    assert ended.code == 0, ended.stderr
    return out


def test_the_browser_draws_every_box_and_runs_nothing_of_the_data(page: Path) -> None:
    seen = visit(page.as_uri())
    document = parse(seen.dom)
    assert seen.requests == ()
    assert seen.console == "", "the page's own policy refuses something that the page needs"
    assert len(document.all("script")) == 1
    before, after = document.one("section", id="gallery").all(of_class="panel")
    assert [len(panel.all("g", of_class="region")) for panel in (before, after)] == [3, 3]
    assert before.all("mark")[1].text == "the blue box"
    assert after.one("li", dir="auto").text == ALERT.replace(">alert", ">1alert")
    assert ALERT in document.one("div", of_class="flow", data_unit=f"{ALERT}s").text
    assert document.one("h1").all(of_class="name")[1].text == "<img src=x onerror=alert(1)>$a$"


def test_a_page_that_would_run_the_data_is_noticed(page: Path) -> None:
    broken = page.with_name("broken.html")
    head, policy, rest = page.read_text().partition('<meta http-equiv="Content-Security-Policy"')
    markup = "<script>console.log('ran')</script><img src=http://127.0.0.1:9/x.png>"
    broken.write_text(head + rest.partition(">")[2].replace("<main>", f"<main>{markup}"))
    seen = visit(broken.as_uri())
    assert policy
    assert "ran" in seen.console
    assert seen.requests == ("http://127.0.0.1:9/x.png",)


@pytest.mark.parametrize(("width", "dark"), [(1500, False), (390, True)])
def test_the_page_fits_its_window_in_light_and_dark(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    name = f"report-{width}-{'dark' if dark else 'light'}.png"
    picture = screenshot(page.as_uri(), artefacts(tmp_path) / name, width=width, height=2400, dark=dark)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (2400, width)
    assert (pixels.mean() < 80) == dark
    edge = pixels[:, -6:]
    lines = (edge != edge[:, -1:]).any(axis=1)
    assert not lines.any(), "something reaches over the right edge of the window"


def test_photos_and_charts_show(page: Path, tmp_path: Path) -> None:
    picture = screenshot(page.as_uri(), artefacts(tmp_path) / "report-tall.png", width=1280, height=3600)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0x2F, 0x6F, 0xD0)).sum(axis=2) < 12).sum()
    noise = (np.ptp(pixels, axis=2) > 90).sum()
    assert blue > 20_000, "no bars in the first dataset's colour"
    assert noise > 60_000, "no photo of coloured noise"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'xdetr-data[dev]'")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page of 12 photos, one of them of another source with words of its own, one without a box."""
    records = [record(number) for number in range(1, 13)]
    records[3] = record(4, text="a tall dog by a small cart.")
    records[3] = replace(records[3], image=replace(records[3].image, source="vg"))
    records[5] = replace(records[5], queries=records[5].queries[1:])
    out = tmp_path / "report.html"
    assert report(write_dataset(tmp_path / "d", records), out=out).code == 0
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    page.goto(out.as_uri())
    yield page
    page.close()


def seen_keys(page: Any) -> list[str]:
    keys: list[str] = page.locator("article:visible svg.shot").evaluate_all("all => all.map(one => one.dataset.key)")
    return keys


def now(page: Any) -> str:
    key: str = page.locator("article.now svg.shot").get_attribute("data-key")
    return key


def test_photos_are_filtered_by_words_source_and_labels(opened: Any) -> None:
    everything = seen_keys(opened)
    assert len(everything) == 12
    opened.keyboard.press("/")
    opened.keyboard.type("TALL dog by")
    assert seen_keys(opened) == [record(4).key]
    assert opened.get_by_role("status").inner_text() == "1 of 12 shown"
    opened.locator("#words").fill("")
    opened.locator("#source").select_option("vg")
    assert seen_keys(opened) == [record(4).key]
    opened.locator("#source").select_option("")
    opened.locator("#kind").select_option("unlabelled")
    assert seen_keys(opened) == [record(6).key]
    opened.locator("#kind").select_option("")
    assert seen_keys(opened) == everything


def test_keys_go_from_photo_to_photo_and_a_number_or_key_jumps_to_one(opened: Any) -> None:
    keys = seen_keys(opened)
    opened.keyboard.press("j")
    opened.keyboard.press("j")
    assert now(opened) == keys[1]
    opened.keyboard.press("k")
    assert now(opened) == keys[0]
    opened.locator("#jump").fill("7")
    opened.locator("#jump").press("Enter")
    assert now(opened) == keys[6]
    opened.locator("#words").fill("tall dog")
    opened.keyboard.press("j")  # a letter, where somebody writes
    assert now(opened) == keys[6]
    opened.locator("#jump").fill(keys[11])
    opened.locator("#jump").press("Enter")
    assert now(opened) == keys[11]
    assert seen_keys(opened) == keys, "the photo that was asked for was hidden"
    top = opened.locator("article.now").evaluate("one => one.getBoundingClientRect().top")
    assert 0 <= top < 900
