"""The mongod that FiftyOne's packages bring, for the tests: whether it is here, and when it listens."""

import importlib.util
import os
import socket
import subprocess
import time
from pathlib import Path

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


def wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"mongod does not listen: {log.read_text()[-2000:]}")
