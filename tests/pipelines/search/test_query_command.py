"""``xdetr-search query``: the order of a brute-force product, filters, phrases, crops, like instances, refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.labelling.grounding import Phrase
from pipelines.labelling.models import load_grounder
from tests.data.tiny_dataset import jpeg
from tests.pipelines.search.cli import ALL, TOY, answers, done, names, objects_of, run_search, wrong
from tests.pipelines.tiny import records_of, run_cli
from xdetr_data.boxes import iou_matrix_xyxy


def text_vector(text: str, span: tuple[int, int] | None = None) -> Any:
    encoder: Any = load_grounder(TOY, device="cpu", precision="float32", batch_size=1)
    [found] = encoder.encode_phrases([Phrase(text, (span or (0, len(text)),))])
    return found.vectors[0].astype(np.float64)


def brute_force(index: Path, vector: Any, same_iou: float = 1.1) -> list[tuple[float, str, int]]:
    """(score, key, object) of all objects, best first, ties by key; of like boxes of a photo the first."""
    rows = objects_of(index)
    scored = [((row["vector"].astype(np.float64) * vector).sum(), row["key"], row["object"], row) for row in rows]
    kept: dict[str, list[Any]] = {}
    found = []
    for score, key, number, row in sorted(scored, key=lambda one: (-one[0], one[1], one[2])):
        before = kept.setdefault(key, [])
        if before and (iou_matrix_xyxy([row["box_xyxy"]], before) >= same_iou).any():
            continue
        before.append(row["box_xyxy"])
        found.append((float(score), key, number))
    return found


@pytest.mark.parametrize("text", ["a red ball", "the blue box on a shelf"])
def test_answers_are_those_of_a_brute_force_product(text: str, index: Path) -> None:
    truth = brute_force(index, text_vector(text), 0.7)
    for top in (1, 7, 30):
        found = answers(index, text, "--top", top)
        assert [(one["score"], one["key"], one["object"]) for one in found] == truth[:top]
        assert [one["rank"] for one in found] == list(range(1, top + 1))


def test_boxes_of_one_object_are_one_answer(index: Path) -> None:
    found = answers(index, "a ball", "--top", 200, "--same-iou", 0.3)
    by_key: dict[str, list[Any]] = {}
    for one in found:
        by_key.setdefault(one["key"], []).append(one["box_xyxy"])
    for boxes in by_key.values():
        overlaps = iou_matrix_xyxy(boxes, boxes)
        np.fill_diagonal(overlaps, 0)
        assert overlaps.max() < 0.3
    truth = brute_force(index, text_vector("a ball"), 0.3)
    assert names(found) == [(key, number) for _, key, number in truth[:200]]


def test_equal_products_are_ordered_by_key(folder: Path, tmp_path: Path) -> None:
    twins = tmp_path / "twins"
    twins.mkdir()
    for name in ("c", "a", "b", "d"):
        (twins / f"{name}.jpg").write_bytes(jpeg(1))
    done("index", f"shop={twins}", *ALL, "--batch-size", 1, "--out", tmp_path / "index")
    found = answers(tmp_path / "index", "a ball", "--top", 8)
    assert [one["key"] for one in found[:4]] == ["shop_a", "shop_b", "shop_c", "shop_d"]
    assert len({one["score"] for one in found[:4]}) == 1


def test_a_phrase_is_read_in_its_sentence(index: Path) -> None:
    sentence = "a red ball left of the blue box"
    begin = sentence.index("blue box")
    truth = brute_force(index, text_vector(sentence, (begin, begin + 8)), 0.7)
    found = answers(index, sentence, "--phrase", "blue box", "--top", 5)
    assert [one["score"] for one in found] == [score for score, _, _ in truth[:5]]
    assert found != answers(index, "blue box", "--top", 5)


def test_an_instance_is_most_like_itself(index: Path) -> None:
    key, number = names(answers(index, "a ball", "--top", 1))[0]
    found = answers(index, "--like", f"{key}:{number}", "--top", 10)
    assert names(found)[0] == (key, number)
    [row] = [row for row in objects_of(index) if (row["key"], row["object"]) == (key, number)]
    truth = brute_force(index, row["vector"].astype(np.float64), 0.7)
    assert names(found) == [(key, number) for _, key, number in truth[:10]]


def test_a_box_of_an_image_finds_the_object_that_it_shows(folder: Path, tmp_path: Path) -> None:
    done("index", f"coco={folder}", *ALL, "--batch-size", 1, "--out", tmp_path / "index")
    rows = [row for row in objects_of(tmp_path / "index") if row["key"] == "coco_000000000003"]
    wanted = rows[0]
    image = folder / "COCO_train2014_000000000003.jpg"
    box = ",".join(map(str, wanted["box_xyxy"]))
    found = answers(tmp_path / "index", "--image", image, "--box", box, "--top", 1)
    assert names(found) == [("coco_000000000003", wanted["object"])]
    assert found[0]["score"] == pytest.approx(1.0, abs=0.002)
    code, line = wrong("query", tmp_path / "index", "--image", image, "--box", "0,0,99,99")
    assert (code, "is not on the image of 32x24 pixels" in line) == (2, True)
    assert (
        "the model sees no object at 0,0,1,1"
        in wrong("query", tmp_path / "index", "--image", image, "--box", "0,0,1,1")[1]
    )


def test_filters_leave_out_what_does_not_fit_and_nothing_else(dataset: Path, folder: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "red ball.jpg").write_bytes(jpeg(20))
    (some / "x.jpg").write_bytes(jpeg(21, (40, 20)))
    done("index", dataset, f"shop={some}", *ALL, "--out", tmp_path / "index")
    every = answers(tmp_path / "index", "a ball", "--top", 500)

    def fits(where: str) -> list[tuple[str, int]]:
        return names(answers(tmp_path / "index", "a ball", "--top", 500, "--where", where))

    def those(fit: Any) -> list[tuple[str, int]]:
        return names([one for one in every if fit(one)])

    def area(one: dict[str, Any]) -> float:
        x0, y0, x1, y1 = one["box_xyxy"]
        return (x1 - x0) * (y1 - y0) / one["height"] / one["width"]

    assert fits("source == 'coco'") == those(lambda one: one["source"] == "coco")
    assert fits("source != coco") == those(lambda one: one["source"] == "shop")
    assert fits("file ~ 'Red B'") == those(lambda one: one["key"].startswith("shop_red"))
    assert fits("height > 30") == those(lambda one: one["height"] == 40)
    assert fits("key=coco_000000000003 and width=32") == those(lambda one: one["key"] == "coco_000000000003")
    # boxes that are left out hide nothing, so a filter of objects may show others of like boxes
    assert set(those(lambda one: area(one) < 0.2)) <= set(fits("area < 0.2"))
    assert all(one["objectness"] < 0.1 for one in answers(tmp_path / "index", "a ball", "--where", "objectness < 0.1"))
    assert fits("source = nobody") == []
    ended = done("query", tmp_path / "index", "a ball", "--where", "source = nobody")
    assert "no object that fits --where" in ended.stderr
    for bad in ("__import__('os')", "colour = red", "source < 3", "area ~ 3"):
        assert wrong("query", tmp_path / "index", "a ball", "--where", bad)[0] == 2


def test_texts_of_another_model_are_refused(index: Path, tmp_path: Path) -> None:
    from tests.pipelines.labelling.checkpoints import save_toy

    other = save_toy(tmp_path / "other")
    code, line = wrong("query", index, "a ball", "--ckpt", other)
    assert code == 1
    assert "is another model" in line
    assert "give that checkpoint, or index the photos again" in line


def test_a_checkpoint_that_moved_is_named_anew(index: Path, tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "moved")
    assert answers(index, "a ball", "--ckpt", tmp_path / "moved") == answers(index, "a ball")


def test_photos_that_are_gone_or_changed_are_said_to_be(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(folder, photos)
    done("index", f"coco={photos}", *ALL, "--out", tmp_path / "index")
    before = answers(tmp_path / "index", "a ball", "--top", 100)
    (photos / "COCO_train2014_000000000001.jpg").unlink()
    (photos / "COCO_train2014_000000000002.jpg").write_bytes(jpeg(77))
    after = answers(tmp_path / "index", "a ball", "--top", 100)
    assert names(after) == names(before)
    states = {one["key"]: one["photo"] for one in after}
    assert states.pop("coco_000000000001") == "gone"
    assert states.pop("coco_000000000002") == "changed"
    assert set(states.values()) == {"there"}
    page = tmp_path / "page.html"
    ended = done("query", tmp_path / "index", "a ball", "--top", 100, "--out", page)
    assert "2 of the photos are gone or changed" in ended.stderr
    assert "the photo is gone" in page.read_text()
    assert "the photo has changed" in page.read_text()


def test_answers_are_written_as_json_and_as_a_page_that_asks_nothing(index: Path, tmp_path: Path) -> None:
    args = ("query", index, "a ball", "<script>alert(1)</script>", "--top", 4)
    said = json.loads(done(*args, "--json", "--out", tmp_path / "answers.json").stdout)
    assert json.loads((tmp_path / "answers.json").read_text()) == said
    assert [one["query"] for one in said["queries"]] == ["a ball", "<script>alert(1)</script>"]
    for name in ("one.html", "other.html"):
        done(*args, "--out", tmp_path / name)
    text = (tmp_path / "one.html").read_text()
    assert text == (tmp_path / "other.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count('<rect class="box"') == 8


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "give one of TEXT, --image FILE and --like"),
        (("a ball", "--like", "x:1"), "give one of TEXT"),
        (("a ball", "--phrase", "cat"), "'cat': is no part of"),
        (("  ",), "the query is empty"),
        (("a ball", "--out", "page.txt"), "must end in .html or .json"),
        (("--like", "nobody:0"), "has no photo 'nobody'"),
        (("--like", "coco_000000000001"), "write an instance as KEY:OBJECT"),
        (("--like", "coco_000000000001:999"), "has objects 0 to"),
        (("--image", "/no/such.jpg"), "missing-photo"),
        (("a ball", "--box", "1,2,3,4"), "--box says where in --image"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(args: tuple[str, ...], said: str, index: Path) -> None:
    assert said in wrong("query", index, *args)[1]


def test_there_is_no_index_where_there_is_none(tmp_path: Path) -> None:
    code, line = wrong("query", tmp_path, "a ball")
    assert code == 1
    assert "has no index.json" in line


def test_the_like_of_a_reviewed_region_is_listed_with_what_is_labelled_there(
    index: Path, dataset: Path, folder: Path, tmp_path: Path
) -> None:
    rows = objects_of(index)
    overlap, key, region, number = max(
        (float(iou_matrix_xyxy([one.box_xyxy], [row["box_xyxy"]])[0, 0]), row["key"], place, row["object"])
        for record in records_of(dataset)
        for place, one in enumerate(record.regions)
        for row in rows
        if row["key"] == record.key
    )
    ended = run_cli("review", "like", str(index), key, str(region), "--top", "6", "--json")
    assert ended.code == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["region"]["object"], said["region"]["iou"]) == (number, pytest.approx(overlap))
    own = said["region"]["box_xyxy"]
    expected = [
        one
        for one in answers(index, "--like", f"{key}:{number}", "--top", 100)
        if one["key"] != key or iou_matrix_xyxy([own], [one["box_xyxy"]])[0, 0] < 0.5
    ]
    assert names(said["candidates"]) == names(expected)[:6]
    records = {one.key: one for one in records_of(dataset)}
    for one in said["candidates"]:
        overlaps = iou_matrix_xyxy([one["box_xyxy"]], [r.box_xyxy for r in records[one["key"]].regions])[0]
        assert one["labelled"] == (int(overlaps.argmax()) if overlaps.max() >= 0.5 else None)
    ended = run_cli("review", "like", str(index), key, "9")
    assert (ended.code, "has regions 0 to 1" in ended.errors[0]) == (1, True)
    done("index", f"coco={folder}", *ALL, "--out", tmp_path / "bare")
    ended = run_cli("review", "like", str(tmp_path / "bare"), key, str(number), "--json")
    assert {one["labelled"] for one in json.loads(ended.stdout)["candidates"]} == {None}


def test_flags_are_those_that_are_meant() -> None:
    import typer

    from pipelines.search.cli import app

    golden = Path(__file__).with_name("cli_flags.txt")
    lines = []
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore[attr-defined]
        lines += [f"{name} {'/'.join([*one.opts, *one.secondary_opts])}" for one in command.params]
    assert "\n".join(lines) == golden.read_text().rstrip("\n"), f"if this is meant, change {golden.name} with it"
    assert run_search("--help").code == 0
