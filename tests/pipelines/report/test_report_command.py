"""``xdetr-data report``: what is on the page, that data is only text there, and how it refuses."""

import hashlib
import io
import json
import re
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from pipelines.report import page as page_module
from tests.data.tiny_dataset import build
from tests.pipelines.report import datasets as datasets_module
from tests.pipelines.report.datasets import ALERT, phrase, record, scored, write_dataset
from tests.pipelines.report.document import Element, parse
from tests.pipelines.tiny import Ended, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.record import GroundedImage, Query
from xdetr_data.storage import Folder

SCRIPT = Path(page_module.__file__).with_name("page.js")


def report(*datasets: str, out: Path, more: tuple[str, ...] = ()) -> Ended:
    return run_cli("report", *datasets, "--out", str(out), *more)


def page_of(*datasets: str, folder: Path, more: tuple[str, ...] = ()) -> Element:
    out = folder / "report.html"
    ended = report(*datasets, out=out, more=("--overwrite", *more))
    assert ended.code == 0, ended.stderr
    return parse(out.read_text())


def gallery(page: Element) -> list[Element]:
    return page.one("section", id="gallery").all(of_class="panel")


def key_of(panel: Element) -> str:
    return panel.one("svg").attributes["data-key"]


@pytest.fixture
def people(tmp_path: Path) -> str:
    return write_dataset(tmp_path / "people", [record(number) for number in range(1, 7)])


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_dataset(tmp_path / "model", scored(20))


def test_the_accounting_shows_every_stage_and_reason(tmp_path: Path) -> None:
    tally = Tally()
    tally.came_in("box", 12_000)
    tally.went_out("box", 9_000)
    tally.rejected("box", "merge_boxes", "twice", 2_000)
    tally.rejected("box", "place_boxes", "crowd-box", 1_000)
    dataset = write_dataset(tmp_path / "d", [record(1)], tally=tally)
    boxes = page_of(dataset, folder=tmp_path).one("div", of_class="flow", data_unit="boxes")
    assert "12,000 in → 9,000 out, 3,000 dropped" in boxes.text
    rows = [[cell.text for cell in row.all("td")] for row in boxes.all("tr")]
    assert rows == [["merge_boxes: twice", "2,000", "16.7%"], ["place_boxes: crowd-box", "1,000", "8.3%"]]


def test_an_accounting_that_does_not_balance_says_so(tmp_path: Path) -> None:
    tally = Tally()
    tally.came_in("photo", 3)
    tally.went_out("photo", 1)
    page = page_of(write_dataset(tmp_path / "d", [record(1)], tally=tally), folder=tmp_path)
    assert any("3 in, but 1 out + 0 rejected" in one.text for one in page.all("p", of_class="warn"))


def test_totals_are_those_of_the_labels(people: str, tmp_path: Path) -> None:
    tiles = {
        one.all("span")[0].text: one.one("b").text for one in page_of(people, folder=tmp_path).all(of_class="tile")
    }
    assert tiles == {"photos": "6", "queries": "12", "phrases": "12", "regions": "18", "textless regions": "6"}


def test_the_charts_of_scores_and_trace_are_there_only_where_labels_have_them(
    people: str, model: str, tmp_path: Path
) -> None:
    charts = [one.attributes["id"] for one in page_of(people, folder=tmp_path).all("figure", of_class="chart")]
    assert charts == ["queries-per-photo", "boxes-per-photo", "boxes-per-phrase", "box-size", "words-per-query",
                      "words-per-phrase"]  # fmt: skip
    page = page_of(model, folder=tmp_path)
    assert [one.attributes["id"] for one in page.all("figure", of_class="chart")] == [
        *charts,
        "scores",
        "trace-agreement",
    ]
    cells = [cell.text for cell in page.one("figure", id="trace-agreement").all("td")]
    assert cells[1:] == ["40", "0.5"]


def test_a_panel_holds_every_box_and_sentence_of_its_photo(people: str, tmp_path: Path) -> None:
    panel = gallery(page_of(people, folder=tmp_path))[0]
    regions = panel.all("g", of_class="region")
    assert sorted(one.attributes["data-region"] for one in regions) == ["0", "1", "2"]
    assert [one.attributes["data-region"] for one in regions if "textless" in one.classes] == ["2"]
    assert [one.text for one in panel.all("li")] == ["a red man1 by the blue box2.", "an outside view."]
    assert [(one.text, one.classes) for one in panel.all("mark")] == [("red man", ["c1"]), ("the blue box", ["c2"])]
    first = next(one for one in regions if one.attributes["data-region"] == "0")
    shape = {
        name: float(first.all("rect", of_class="c1")[0].attributes[name]) for name in ("x", "y", "width", "height")
    }
    assert shape == {"x": 1.0, "y": 2.0, "width": 9.5, "height": 18.0}


def test_each_photo_is_on_the_page_once(model: str, tmp_path: Path) -> None:
    page = page_of(model, folder=tmp_path, more=("--samples", "20"))
    images, uses = page.all("image"), page.all("use")
    assert (len(images), len(uses)) == (20, 40)
    assert {f"#{one.attributes['id']}" for one in images} == {one.attributes["href"] for one in uses}
    assert all(one.attributes["href"].startswith("data:image/jpeg;base64,") for one in images)


def test_the_most_frequent_phrases_are_counted_whatever_their_case_and_white_space(tmp_path: Path) -> None:
    records = [record(1), record(2, text="a Red MAN by the blue box."), record(3, text="a tall dog by a  blue  box.")]
    section = page_of(write_dataset(tmp_path / "d", records), folder=tmp_path).one("section", id="phrases")
    rows = [[cell.text for cell in row.all("td")] for row in section.one("table").all("tr")[1:]]
    assert rows == [["red man", "2", "33.3%"], ["the blue box", "2", "33.3%"], ["a blue bo", "1", "16.7%"],
                    ["tall do", "1", "16.7%"]]  # fmt: skip


def test_the_heat_map_is_darkest_where_most_boxes_have_their_centre(tmp_path: Path) -> None:
    left = record(1)
    left = replace(left, regions=tuple(replace(one, box_xyxy=(0.0, 10.0, 2.0, 14.0)) for one in left.regions))
    middle = replace(record(2), regions=(replace(left.regions[0], box_xyxy=(14.0, 10.0, 18.0, 14.0)),), queries=())
    page = page_of(write_dataset(tmp_path / "d", [left, middle]), folder=tmp_path)
    shades = {
        one.attributes["d"]: float(one.attributes["fill-opacity"]) for one in page.one("svg", of_class="heat").all()
    }
    assert shades == {"M0 12h1v1h-1z": 1.0, "M12 12h1v1h-1z": 0.375}


def rich(number: int) -> GroundedImage:
    """A photo with as much on it as a busy one of Visual Genome: 16 boxes, 8 sentences of two phrases each."""
    one = record(number)
    boxes = tuple((20.0 * at, 15.0 * at, 20.0 * at + 233.33, 15.0 * at + 99.99) for at in range(16))
    query = one.queries[0]
    queries = tuple(
        replace(query, text=f"{query.text} {at}", phrases=(phrase(2, 9, 2 * at), phrase(13, 25, 2 * at + 1)))
        for at in range(8)
    )
    regions = tuple(replace(one.regions[0], box_xyxy=box) for box in boxes)
    return replace(one, image=replace(one.image, size_hw=(480, 640)), regions=regions, queries=queries)


def test_a_page_of_300_photos_stays_under_3_mb_and_a_small_one_keeps_its_photos_sharp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets_module, "jpeg", photo_of_640_by_480)
    dataset = write_dataset(tmp_path / "d", [rich(number) for number in range(1, 301)])
    page = page_of(dataset, folder=tmp_path, more=("--samples", "300"))
    assert len(gallery(page)) == len(page.all("image")) == 300
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    assert min(max(one) for one in sizes_on(page)) >= 160
    assert set(sizes_on(page_of(dataset, folder=tmp_path, more=("--samples", "6")))) == {(640, 480)}


def photo_of_640_by_480(number: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=90)
    return sink.getvalue()


def sizes_on(page: Element) -> list[tuple[int, int]]:
    uris = [one.attributes["href"] for one in page.all("image")]
    return [Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))).size for uri in uris]


def test_the_lowest_scored_labels_come_first_and_alone(model: str, tmp_path: Path) -> None:
    panels = page_of(model, folder=tmp_path, more=("--samples", "5")).all(of_class="lowest")
    assert [one.one(of_class="score").text for one in panels] == ["0.100", "0.100", "0.142", "0.142", "0.184"]
    for panel in panels:
        assert len(panel.all("g", of_class="region")) == len(panel.all("mark")) == 1


def test_labels_without_scores_are_said_to_have_none(people: str, tmp_path: Path) -> None:
    assert "No label has a score" in page_of(people, folder=tmp_path).one("section", id="lowest").text


def test_the_seed_decides_which_photos_are_shown_and_the_number_how_many(model: str, tmp_path: Path) -> None:
    shown = [
        [key_of(panel) for panel in gallery(page_of(model, folder=tmp_path, more=("--seed", seed, "--samples", "4")))]
        for seed in "0123"
    ]
    assert {len(set(keys)) for keys in shown} == {4}
    assert len({tuple(keys) for keys in shown}) == 4


def test_the_same_dataset_and_seed_give_the_same_bytes(charts: None, model: str, tmp_path: Path) -> None:
    made = []
    for name in "ab":
        ended = report(model, out=tmp_path / f"{name}.html", more=("--png", str(tmp_path / name), "--samples", "1"))
        assert ended.code == 0, ended.stderr
        figures = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        made.append(((tmp_path / f"{name}.html").read_bytes(), figures))
    assert made[0] == made[1]


def test_two_datasets_show_the_same_photos_side_by_side(tmp_path: Path) -> None:
    with_box = [replace(one, queries=one.queries[:1]) for one in scored(8)]
    without = [replace(one, regions=one.regions[:2]) for one in with_box]
    names = write_dataset(tmp_path / "before", without[:6]), write_dataset(tmp_path / "after", with_box[2:])
    page = page_of(*names, folder=tmp_path)
    assert "4 photos are in both datasets" in page.one("header").text
    rows = page.one("section", id="gallery").all("article", of_class="row")
    assert {row.one("p", of_class="key").text for row in rows} == {one.key for one in with_box[2:6]}
    for row in rows:
        before, after = row.all(of_class="panel")
        assert key_of(before) == key_of(after) == row.one("p", of_class="key").text
        assert [len(one.all("g", of_class="region")) for one in (before, after)] == [2, 3]
        assert [one.one("h3").text for one in (before, after)] == ["before", "after"]


def test_datasets_without_a_photo_in_common_say_so_and_show_both_galleries(tmp_path: Path) -> None:
    names = [write_dataset(tmp_path / name, [record(number)]) for name, number in (("one", 1), ("other", 2))]
    page = page_of(*names, folder=tmp_path)
    assert "share no photo" in page.one("header").text
    assert [(panel.attributes["data-side"], key_of(panel)) for panel in gallery(page)] == [
        ("0", record(1).key),
        ("1", record(2).key),
    ]


def test_three_datasets_fit_and_four_are_a_usage_error(people: str, tmp_path: Path) -> None:
    page = page_of(people, people, people, folder=tmp_path)
    assert [len(row.all(of_class="panel")) for row in page.one("section", id="gallery").all("article")] == [3] * 6
    ended = report(*[people] * 4, out=tmp_path / "four.html")
    assert (ended.code, len(ended.stderr.splitlines())) == (2, 1)


def test_datasets_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    names = [write_dataset(tmp_path / name / "shards", [record(1)]) for name in "ab"]
    heading = page_of(*names, folder=tmp_path).one("h1")
    assert [one.text for one in heading.all(of_class="name")] == names


def test_labels_without_photos_are_drawn_on_a_blank_canvas_and_said_to_be(tmp_path: Path) -> None:
    page = page_of(write_dataset(tmp_path / "d", scored(3), photos=False), folder=tmp_path)
    panels = gallery(page)
    assert not page.all("image")
    assert [len(panel.all("g", of_class="region")) for panel in panels] == [3, 3, 3]
    assert all(panel.one("text", of_class="nophoto").text == "labels without photo" for panel in panels)
    assert "9 of the samples below have no photo" in page.one("section", id="gallery").text


def test_labels_without_photos_borrow_the_picture_of_the_other_dataset(tmp_path: Path) -> None:
    names = [write_dataset(tmp_path / name, [record(1)], photos=name == "with") for name in ("without", "with")]
    page = page_of(*names, folder=tmp_path)
    assert [len(panel.all("use")) for panel in gallery(page)] == [1, 1]
    assert "labels without photo; drawn on the one of with" in gallery(page)[0].text


def test_a_photo_that_does_not_decode_is_named_on_a_blank_canvas(tmp_path: Path) -> None:
    dataset = build(tmp_path / "d")
    for shard in (0, 1):
        members = [(name, data if name.endswith("json") else b"no photo") for name, data in dataset.members(shard)]
        dataset.write_members(members, shard)
    panels = gallery(page_of(str(dataset.path), folder=tmp_path))
    assert {panel.one("text", of_class="nophoto").text for panel in panels} == {"photo not shown: unreadable-photo"}


def test_an_empty_dataset_has_a_report(tmp_path: Path) -> None:
    empty = write_dataset(tmp_path / "empty", [])
    page = page_of(empty, folder=tmp_path)
    assert "There is nothing to count." in page.one("section", id="distributions").text
    assert "No photo to show." in page.one("section", id="gallery").text
    both = page_of(empty, write_dataset(tmp_path / "full", scored(2)), folder=tmp_path)
    assert [panel.attributes["data-side"] for panel in gallery(both)] == ["1", "1"]


def test_no_samples_are_no_samples(model: str, tmp_path: Path) -> None:
    page = page_of(model, folder=tmp_path, more=("--samples", "0"))
    assert not page.all(of_class="panel")
    assert "No label was asked for." in page.one("section", id="lowest").text


def hostile() -> GroundedImage:
    """Markup wherever the data holds text."""
    one = record(1)
    bad = replace(one.regions[0].provenance, source=ALERT, annotation_id=ALERT, detail=ALERT)
    query = Query(text=ALERT, group=ALERT, phrases=(replace(phrase(0, 8, 0, score=0.5), provenance=bad),))
    regions = (replace(one.regions[0], provenance=bad), *one.regions[1:])
    image = replace(one.image, file_name=f'"><{ALERT}\u202e\x00', source=ALERT)
    return replace(one, image=image, regions=regions, queries=(query,))


def hostile_dataset(folder: Path) -> str:
    tally = Tally()
    tally.came_in(ALERT, 1)
    tally.rejected(ALERT, ALERT, ALERT)
    tally.note(ALERT)
    return write_dataset(folder / "<img src=x onerror=alert(1)>$a$", [hostile()], tally=tally)


def test_text_of_the_data_is_text_on_the_page(tmp_path: Path) -> None:
    dataset = hostile_dataset(tmp_path)
    page = page_of(dataset, dataset, folder=tmp_path)
    assert [one.text for one in page.all("script")] == [SCRIPT.read_text()]
    assert not any(name.startswith("on") for one in page.all() for name in one.attributes)
    assert [one for one in page.all("img") if not one.attributes["src"].startswith("data:")] == []
    assert gallery(page)[0].one("li", dir="auto").text == "<script>1alert(1)</script>"
    assert "\x00" not in (tmp_path / "report.html").read_text()


def test_the_policy_allows_the_pages_own_script_and_style_by_their_hashes_and_nothing_else(
    model: str, tmp_path: Path
) -> None:
    page = page_of(model, folder=tmp_path)
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    script, style = (
        f"'sha256-{b64encode(hashlib.sha256(page.one(tag).text.encode()).digest()).decode()}'"
        for tag in ("script", "style")
    )
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", f"style-src {style}", f"script-src {script}", "base-uri 'none'",
        "form-action 'none'",
    ]  # fmt: skip


def test_nothing_on_the_page_leads_to_a_network(charts: None, model: str, tmp_path: Path) -> None:
    page_of(model, folder=tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in html
    assert not re.findall(r"""(?:src|href|srcset)=(?!"data:|"#)|url\(|@import""", html)
    assert not re.findall(r"https?://", html)


def test_figures_are_png_files_of_all_charts_and_samples(charts: None, model: str, tmp_path: Path) -> None:
    both = model, hostile_dataset(tmp_path)
    page_of(*both, folder=tmp_path, more=("--png", str(tmp_path / "png"), "--samples", "1"))
    names = sorted(path.name for path in (tmp_path / "png").iterdir())
    assert names == [
        "box-size.png", "boxes-per-photo.png", "boxes-per-phrase.png", "gallery-01.png", "lowest-1-01.png",
        "lowest-2-01.png", "queries-per-photo.png", "scores.png", "trace-agreement.png", "words-per-phrase.png",
        "words-per-query.png",
    ]  # fmt: skip
    widths = {}
    for name in names:
        with Image.open(tmp_path / "png" / name) as picture:
            widths[name] = picture.size[0]
    assert (widths["gallery-01.png"], widths["lowest-1-01.png"], widths["scores.png"]) == (2000, 1400, 960)


def test_overwriting_removes_the_figures_of_the_earlier_report_and_nothing_else(model: str, tmp_path: Path) -> None:
    png = tmp_path / "png"
    page_of(model, folder=tmp_path, more=("--png", str(png), "--samples", "2"))
    (png / "holiday.png").write_bytes(b"mine")
    assert "holds PNG files" in report(model, out=tmp_path / "x.html", more=("--png", str(png))).stderr
    page_of(model, folder=tmp_path, more=("--png", str(png), "--samples", "1"))
    assert [path.name for path in sorted(png.glob("gallery*"))] == ["gallery-01.png"]
    assert (png / "holiday.png").read_bytes() == b"mine"


def test_a_page_is_not_replaced_without_being_told_to(people: str, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("mine")
    ended = report(people, out=out)
    assert (ended.code, out.read_text()) == (1, "mine")
    assert ended.errors == [f"error: {out}: exists; choose another --out, or say --overwrite"]


def test_a_folder_that_is_no_dataset_is_one_line(tmp_path: Path) -> None:
    ended = report(str(tmp_path / "nothing"), out=tmp_path / "report.html")
    assert (ended.code, len(ended.stderr.splitlines())) == (1, 1)
    assert "has no manifest.json" in ended.stderr
    assert not (tmp_path / "report.html").exists()


def test_damaged_labels_are_one_error_line_and_no_page(people: str, tmp_path: Path) -> None:
    for path in Path(people).glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-100])
    ended = report(people, out=tmp_path / "report.html")
    assert (ended.code, len(ended.errors)) == (1, 1)
    assert not (tmp_path / "report.html").exists()


def test_json_says_what_was_written(people: str, tmp_path: Path) -> None:
    ended = report(people, people, out=tmp_path / "r.html", more=("--json", "--samples", "1"))
    assert json.loads(ended.stdout) == {
        "out": str(tmp_path / "r.html"),
        "bytes": (tmp_path / "r.html").stat().st_size,
        "shared_photos": 6,
        "png": [],
    }


def test_a_page_is_written_to_an_address(people: str, tmp_path: Path) -> None:
    flags = ("report", people, "--out", "memory://reports/page.html", "--png", "memory://reports/figures")
    ended = run_cli(*flags)
    assert ended.code == 0, ended.stderr
    assert not (Path.cwd() / "memory:").exists()
    kept = Folder("memory://reports")
    assert kept.read("page.html").startswith(b"<!")
    assert kept.names("figures/*.png")
    assert "exists; choose another --out" in run_cli(*flags).stderr
    assert run_cli(*flags, "--overwrite").code == 0
