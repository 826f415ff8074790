"""``xdetr-search serve`` in a real browser: Debian's chromium, driven by playwright."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.data.tiny_dataset import jpeg
from tests.pipelines.browser import FLAGS, artefacts, chromium
from tests.pipelines.search.cli import ALL, done

ROOT = Path(__file__).parents[3]
EVIL = "<img src=x onerror=document.title='hacked'>.jpg"
SLOWEST_MS = 60_000
# Where a shape is in the window, without the line around it.
ON_SCREEN = """one => {
  const box = one.getBBox(), m = one.getScreenCTM();
  return {x: m.a * box.x + m.e, y: m.d * box.y + m.f, width: m.a * box.width, height: m.d * box.height};
}"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one's own; the last one's name is markup."""
    made = tmp_path_factory.mktemp("own")
    for number in range(1, 7):
        (made / (EVIL if number == 6 else f"photo {number}.jpg")).write_bytes(jpeg(number))
    return made


@pytest.fixture(scope="module")
def own_index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index") / "index"
    done("index", photos, *ALL, "--objects", "4", "--out", out)
    return out


@pytest.fixture(scope="module")
def address(own_index: Path) -> Iterator[str]:
    """A server of the index, as a user starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.search.cli", "serve", str(own_index), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "look at it: " in server.stderr.readline()
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'xdetr-data[dev]'")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SLOWEST_MS)
    for attempt in range(60):
        try:
            page.goto(address)
            break
        except Exception:  # the server says its address just before it listens
            assert attempt < 59
            page.wait_for_timeout(250)
    yield page
    page.close()


def search(page: Any, text: str) -> None:
    page.locator("#text").fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text(": the best").wait_for()


def instances(page: Any) -> list[str]:
    found: list[str] = page.locator("button.card").evaluate_all("all => all.map(one => one.dataset.instance)")
    return found


def said(address: str, **asked: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}api/search?{urlencode(asked)}") as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["queries"][0]["answers"]
    return found


def test_boxes_are_drawn_where_the_index_says(page: Any, address: str, tmp_path: Path) -> None:
    search(page, "a red circle")
    answers = said(address, text="a red circle")
    assert instances(page) == [f"{one['key']}:{one['object']}" for one in answers]
    page.wait_for_function("[...document.querySelectorAll('svg image')].every(one => one.getBBox().width > 0)")
    for card, one in zip(page.locator("button.card").all(), answers, strict=True):
        drawn, image = (card.locator(part).evaluate(ON_SCREEN) for part in ("rect.box", "image"))
        scale = image["width"] / one["width"]
        x0, y0, x1, y1 = one["box_xyxy"]
        wanted = [x0, y0, x1 - x0, y1 - y0]
        place = [drawn["x"] - image["x"], drawn["y"] - image["y"], drawn["width"], drawn["height"]]
        assert place == pytest.approx([side * scale for side in wanted], abs=1.0)
    page.screenshot(path=artefacts(tmp_path) / "search.png")


def test_a_click_shows_more_like_one_and_back_goes_back(page: Any, address: str) -> None:
    search(page, "a red circle")
    before = instances(page)
    chosen = before[-1]
    page.locator("button.card").last.click()
    page.get_by_role("status").get_by_text("more like").wait_for()
    after = instances(page)
    assert after[0] == chosen, "an instance is most like itself"
    assert after != before
    assert after == [f"{one['key']}:{one['object']}" for one in said(address, like=chosen)]
    page.go_back()
    page.get_by_role("status").get_by_text("a red circle: the best").wait_for()
    assert instances(page) == before


def test_markup_in_words_and_names_is_text(page: Any) -> None:
    words = "<script>document.title = 'hacked'</script>"
    search(page, words)
    assert words in page.get_by_role("status").inner_text()
    assert page.locator(".key", has_text=EVIL).count() > 0
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "xdetr-search"


def test_a_filter_that_leaves_nothing_and_one_that_is_wrong_are_told(page: Any) -> None:
    page.locator("#where").fill("width > 100000")
    page.locator("#text").fill("a circle")
    page.keyboard.press("Enter")
    page.get_by_text("nothing in the index fits").wait_for()
    page.locator("#where").fill("colour == 'red'")
    page.locator("#text").press("Enter")
    page.get_by_text("there is no field 'colour'").wait_for()
    assert instances(page) == []


def test_the_keyboard_goes_from_answer_to_answer(page: Any) -> None:
    search(page, "a blue star")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.dataset.instance")
    assert focused == instances(page)[1]
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("more like").wait_for()
    assert instances(page)[0] == focused
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "text"


def test_it_can_be_read_in_the_dark(browser: Any, address: str, tmp_path: Path) -> None:
    page = browser.new_page(color_scheme="dark", viewport={"width": 390, "height": 800})
    page.goto(address)
    search(page, "a green square")
    light = [
        int(one) for one in page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
    ]
    text = [int(one) for one in page.evaluate("getComputedStyle(document.body).color").strip("rgb()").split(",")]
    assert max(light) < 80 < 150 < min(text)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing runs off a phone's screen"
    page.screenshot(path=artefacts(tmp_path) / "search-dark.png")
    page.close()


def test_a_photo_that_is_gone_shows_as_gone(page: Any, photos: Path) -> None:
    target = photos / "photo 3.jpg"
    data = target.read_bytes()
    target.unlink()
    try:
        page.locator("#where").fill("file == 'photo 3.jpg'")
        search(page, "a circle")
        assert page.locator(".gone").first.inner_text() == "the photo is gone"
    finally:
        target.write_bytes(data)
