"""Exclusion lists that are none: one line that names the list, and nothing in them is ever run."""

import gzip
import json
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.bad_input.corpus import Case, check, each
from tests.pipelines.tiny import World, coco_name, manifest_of, run_cli, usual_args

REFS = [{"image_id": 2, "ref_id": 0, "sentences": [{"sent": "the ball"}], "split": "val"}]


class Touch:
    """Would make a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def _by_hand(*codes: bytes) -> bytes:
    return b"\x80\x02" + b"".join(codes) + b"."


PICKLES: dict[str, tuple[bytes, str]] = {
    "that-runs-code": (pickle.dumps(Touch("/nonexistent/pwned")), "asks to run"),
    "that-runs-code-in-text": (b"cos\nsystem\n(S'true'\ntR.", "asks to run"),
    "that-runs-code-by-inst": (b"(S'true'\nios\nsystem\n.", "asks to run"),
    "that-runs-code-behind-data": (pickle.dumps([REFS[0], Touch("/nonexistent/pwned")]), "asks to run"),
    "with-a-harmless-class": (pickle.dumps(OrderedDict(a=1)), "asks to run"),
    "with-a-numpy-array": (b"\x80\x04\x8c\x15numpy.core.multiarray\x8c\x0c_reconstruct\x93.", "asks to run"),
    "with-an-extension-code": (_by_hand(b"\x82\x01"), "not a plain refer pickle"),
    "with-a-persistent-id": (_by_hand(b"K\x01Q"), "not a plain refer pickle"),
    "with-a-buffer": (b"\x80\x05\x97.", "not a plain refer pickle"),
    "building-on-a-list": (_by_hand(b"]", b"}", b"b"), "not a plain refer pickle"),
    "truncated": (pickle.dumps(REFS)[:-5], "not a plain refer pickle"),
    "of-two-bytes": (b"\x80\x04", "not a plain refer pickle"),
    "of-a-future-protocol": (b"\x80\x63.", "not a plain refer pickle"),
    "of-a-huge-text": (b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"abc.", "not a plain refer pickle"),
    "nested-deeply": (b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".", "list of referring|not a plain"),
    "of-a-dict": (pickle.dumps({"image_id": 2}), "list of referring expressions"),
    "of-a-number": (pickle.dumps(7), "list of referring expressions"),
    "of-numbers": (pickle.dumps([1, 2]), "list of referring expressions"),
    "without-image-ids": (pickle.dumps([{"ref_id": 1}]), "list of referring expressions"),
    "with-a-list-as-id": (pickle.dumps([{"image_id": [1]}]), "list of referring expressions"),
    "with-a-null-id": (pickle.dumps([{"image_id": None}]), "list of referring expressions"),
    "with-a-half-id": (pickle.dumps([{"image_id": 1.5}]), "list of referring expressions"),
    "with-a-huge-id": (pickle.dumps([{"image_id": 10**5000}]), "list of referring expressions"),
    "of-nothing": (pickle.dumps([]), "holds no photo id"),
}
LISTS: dict[str, tuple[str, bytes, str]] = {
    "empty": ("ids.txt", b"", "holds no photo id"),
    "blank-lines": ("ids.txt", b"\n \n\t\n", "holds no photo id"),
    "comments-only": ("ids.txt", b"# held out\n", "holds no photo id"),
    "binary": ("ids.txt", bytes(range(256)), "is no photo id or file name"),
    "sentence": ("ids.txt", b"1\nthis is not an id\n", "line 2: .*is no photo id"),
    "csv": ("ids.csv", b"ImageID,Split\n1,val\n", "line 1: .*is no photo id"),
    "utf-16": ("ids.txt", "1\n2\n".encode("utf-16"), "is no photo id"),
    "web-page": ("ids.txt", b"<html>404</html>", "is no photo id"),
    "json-without-images": ("x.json", b'{"annotations": []}', "has no 'images'"),
    "json-images-object": ("x.json", b'{"images": {}}', "must be an array"),
    "json-without-any-image": ("x.json", b'{"images": []}', "holds no photo id"),
    "json-images-of-numbers": ("x.json", b'{"images": [1, 2]}', r"images\[0\]"),
    "json-image-without-name": ("x.json", b'{"images": [{"id": 1}, {"width": 3}]}', r"images\[1\] has no file_name"),
    "json-image-with-a-list-as-name": ("x.json", b'{"images": [{"file_name": []}]}', r"images\[0\]"),
    "json-image-with-half-a-surrogate": ("x.json", rb'{"images": [{"file_name": "\ud800"}]}', r"images\[0\]"),
    "json-image-with-a-huge-id": ("x.json", b'{"images": [{"id": %s}]}' % (b"9" * 5000), r"images\[0\]"),
    "json-image-with-nan": ("x.json", b'{"images": [{"id": NaN}]}', r"images\[0\]"),
    "json-truncated": ("x.json", b'{"images": [{"id": 1}', "truncated"),
    "json-very-deep": ("x.json", b'{"images": [' + b"[" * 10**5, "nested too deeply"),
    "json-ids-truncated": ("x.json", b"[1, 2", "no list of ids"),
    "json-ids-of-lists": ("x.json", b"[[1], [2]]", "no list of ids"),
    "json-ids-of-nulls": ("x.json", b"[null]", "no list of ids"),
    "json-ids-of-halves": ("x.json", b"[1.5]", "no list of ids"),
    "json-ids-none": ("x.json", b"[]", "holds no photo id"),
    "json-ids-very-deep": ("x.json", b"[" * 10**5, "no list of ids"),
    "json-ids-huge": ("x.json", b"[%s]" % (b"9" * 5000), "no list of ids"),
    "json-ids-with-garbage-behind": ("x.json", b"[1] [2]", "no list of ids"),
    "json-ids-of-bad-utf8": ("x.json", b'["\xff"]', "no list of ids"),
    "gzip-damaged": ("ids.txt.gz", gzip.compress(b"1\n" * 1000)[:-9], "cannot be read"),
    "gzip-by-name-only": ("ids.txt.gz", b"1\n2\n", "cannot be read"),
    "gzip-truncated-in-the-header": ("ids.json.gz", gzip.compress(b"[1]")[:6], "cannot be read"),
}


def _with_list(name: str, data: bytes, says: str, kind: str) -> Case:
    def afterwards(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return Case(
        id=f"exclusion-{kind}", afterwards=afterwards, args=(f"--exclude=FOLDER/{name}",), error=f"{name}.*({says})"
    )


BAD = [
    *(_with_list("refs.p", data, says, f"pickle-{kind}") for kind, (data, says) in PICKLES.items()),
    *(_with_list(*how, kind) for kind, how in LISTS.items()),
    Case(id="exclusion-missing", args=("--exclude=FOLDER/none.txt",), error="none.txt.*no such file"),
    Case(id="exclusion-a-folder", args=("--exclude=FOLDER/photos",), error="photos.*is no file"),
    Case(id="exclusion-of-an-unknown-source", args=("--exclude=lvis=FOLDER/x.txt",), error="lvis=.*no such file"),
]


@each(BAD)
def test_a_bad_exclusion_list_is_refused_in_one_line_that_names_it(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_a_pickle_that_would_run_code_is_refused_before_it_runs(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / "refs.p").write_bytes(pickle.dumps([Touch(str(tmp_path / "pwned"))]))
    assert any(code.name == "REDUCE" for code, _, _ in pickletools.genops((tmp_path / "refs.p").read_bytes()))
    assert run_cli(*usual_args(tmp_path), f"--exclude={tmp_path / 'refs.p'}").code == 1
    assert not (tmp_path / "pwned").exists()


EXCLUDED = {
    ("photo", "excluded"): 1,
    ("paragraph", "excluded"): 2,
    ("annotation", "excluded"): 4,
    ("box", "excluded"): 2,
}
KINDS: dict[str, tuple[str, bytes]] = {
    "refer-pickle": ("refs(unc).p", pickle.dumps(REFS, protocol=2)),
    "refer-pickle-of-python-2": ("refs.p", b"(lp0\n(dp1\nS'image_id'\np2\nL2L\nsa."),
    "coco-2017-json": (
        "lvis.json",
        b'{"images": [{"id": 2, "coco_url": "http://images.cocodataset.org/train2017/000000000002.jpg"}]}',
    ),
    "coco-2014-json": ("x.json", json.dumps({"images": [{"file_name": coco_name(2), "id": 2}]}).encode()),
    "coco-ids-only": ("x.json", b'{"images": [{"id": 2}]}'),
    "mdetr-json": (
        "refexp.json",
        json.dumps({"images": [{"id": 0, "file_name": coco_name(2), "data_source": "coco"}]}).encode(),
    ),
    "json-of-ids": ("ids.json", b"[2]"),
    "json-of-names": ("ids.json", b'["000000000002.jpg"]'),
    "lines-of-ids": ("test.txt", b"# LVIS val\n2\n\n"),
    "lines-of-names": ("test.txt", b"COCO_val2014_000000000002.jpg\r\n"),
    "lines-of-keys": ("test.txt", b"coco_000000000002\n"),
    "gzip": ("ids.txt.gz", gzip.compress(b"2\n")),
    "utf-8-mark": ("ids.txt", b"\xef\xbb\xbf2\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_list_excludes_by_number_and_the_ledger_says_so(kind: str, tmp_path: Path) -> None:
    name, data = KINDS[kind]
    case = Case(
        id=kind,
        afterwards=lambda folder: (folder / name).write_bytes(data) and None,
        args=(f"--exclude=FOLDER/{name}",),
        rejects=EXCLUDED,
        spares_photo_2=False,
    )
    check(case, tmp_path)
    (entry,) = manifest_of(tmp_path / "out").exclusions
    assert entry.hits == {"coco": 1}
    assert entry.ids == 1
    assert entry.path == str(tmp_path / name)


def test_bare_numbers_can_be_told_to_mean_another_source(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / "ids.txt").write_text("2\n")
    ended = run_cli(*usual_args(tmp_path), f"--exclude=vg={tmp_path / 'ids.txt'}")
    assert ended.code == 0
    (entry,) = manifest_of(tmp_path / "out").exclusions
    assert entry.hits == {}


def test_excluding_every_photo_is_refused_in_one_line(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / "ids.txt").write_text("1\n2\n")
    ended = run_cli(*usual_args(tmp_path), f"--exclude={tmp_path / 'ids.txt'}")
    assert ended.code == 1
    assert "no photo is left" in ended.errors[0]


def test_a_build_without_any_exclusion_says_so_loudly(tmp_path: Path) -> None:
    World().write(tmp_path)
    assert "warning: no --exclude list" in run_cli(*usual_args(tmp_path)).stderr
