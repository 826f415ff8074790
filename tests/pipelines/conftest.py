"""FiftyOne with a database of its own for the tests: a real mongod on a free port, ended with the session.

Here, above all tests that look at FiftyOne: a fixture that two folders took over would be two databases, and the module
knows the first one only.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.mongod import free_port, mongod, wait_until_it_listens


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
            wait_until_it_listens(port, process, log)
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


@pytest.fixture(scope="session")
def fo(fiftyone_home: Path) -> Any:
    """FiftyOne on the tests' database."""
    from pipelines.qa.database import fiftyone

    return fiftyone()
