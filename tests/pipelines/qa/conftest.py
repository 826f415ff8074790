"""FiftyOne with a database of its own for the tests: a real mongod on a free port, ended with the session."""

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def mongod() -> Path | None:
    """The mongod that FiftyOne's packages bring, if they are installed."""
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "db" / "bin" / "mongod"
    return path if os.access(path, os.X_OK) else None


needs_mongod = pytest.mark.skipif(
    mongod() is None, reason="no FiftyOne with a mongod here: pip install 'xdetr-data[qa]' to test the review"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def fiftyone_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder without any FiftyOne settings, its database, and the variables that name both."""
    binary = mongod()
    if binary is None:
        pytest.skip("no FiftyOne with a mongod here: pip install 'xdetr-data[qa]'")
    home = tmp_path_factory.mktemp("fiftyone")
    (home / "db").mkdir()
    port = free_port()
    command = [binary, "--dbpath", home / "db", "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    log = home / "mongod.log"
    with log.open("w") as sink, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            _wait(port, process, log)
            for name in [one for one in os.environ if one.startswith("FIFTYONE_")]:
                patch.delenv(name)
            # Not HOME, where Ray looks for its token: a Ray that starts later in this process would not find it.
            patch.setenv("FIFTYONE_DATABASE_URI", f"mongodb://127.0.0.1:{port}")
            for name in ("CONFIG_PATH", "APP_CONFIG_PATH"):
                patch.setenv(f"FIFTYONE_{name}", str(home / f"{name.lower()}.json"))
            patch.setenv("FIFTYONE_DEFAULT_DATASET_DIR", str(home / "datasets"))
            for name in ("DATABASE_DIR", "DATASET_ZOO_DIR", "MODEL_ZOO_DIR", "PLUGINS_DIR"):
                patch.setenv(f"FIFTYONE_{name}", str(home / name.lower()))
            yield home
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"mongod does not listen: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def fo(fiftyone_home: Path) -> Any:
    """FiftyOne on the tests' database."""
    from pipelines.qa.database import fiftyone

    return fiftyone()
