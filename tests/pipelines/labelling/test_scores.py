"""What a run says of the scores of its labels."""

import io
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np

from pipelines.labelling.scores import say_scores
from tests.pipelines.labelling.spoken import World, labelled
from tests.pipelines.tiny import records_of, run_cli
from xdetr_data.storage import Folder


def test_quantiles_are_those_of_the_labelled_phrases(tmp_path: Path) -> None:
    World().write(tmp_path)
    manifest = labelled(tmp_path)
    phrases = [phrase for one in records_of(tmp_path / "out") for query in one.queries for phrase in query.phrases]
    scores = [phrase.score for phrase in phrases if phrase.score is not None]
    assert len(scores) > 3
    with redirect_stderr(io.StringIO()) as said:
        say_scores(Folder(str(tmp_path / "out")), manifest)
    line = " ".join(said.getvalue().split())
    assert f"scores of the {len(scores)} labelled phrases: least {min(scores):.3f}" in line
    assert f"half {np.median(scores):.3f}" in line
    assert f"most {max(scores):.3f}" in line


def test_rethreshold_says_them_too_and_says_where_there_are_none(tmp_path: Path) -> None:
    World().write(tmp_path)
    labelled(tmp_path)
    ended = run_cli("rethreshold", str(tmp_path / "out"), f"--out={tmp_path / 'all'}", "--score-threshold=0.3")
    assert ended.code == 0, ended.stderr
    assert "labelled phrases: least" in ended.stderr
    ended = run_cli("rethreshold", str(tmp_path / "out"), f"--out={tmp_path / 'none'}", "--score-threshold=9")
    assert ended.code == 0, ended.stderr
    assert "no phrase has a label" in ended.stderr
