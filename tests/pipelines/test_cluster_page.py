"""docs/cluster.md: its commands, on a cluster of several nodes on this machine."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from PIL import Image

from tests.pipelines.tiny import World, manifest_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
PROGRAMS = {"xdetr-data": "pipelines.cli", "xdetr-train": "pipelines.train"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


HEAD_LINE, NODE_LINE, *COMMANDS = [block.strip() for block in blocks("sh")]


def a_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared disk: the page's files, and programs of this checkout."""
    folder = tmp_path_factory.mktemp("shared")
    World().write(folder)
    (folder / "captioned").mkdir()
    for number in range(4):
        Image.new("RGB", (64, 48), (60 * number, 0, 0)).save(folder / "captioned" / f"{number}.jpg")
        (folder / "captioned" / f"{number}.txt").write_text("a red star beside a blue circle")
    programs = folder / "bin"
    programs.mkdir()
    for name, module in PROGRAMS.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
    (programs / "ray").symlink_to(Path(sys.executable).with_name("ray"))
    (programs / "srun").write_text(
        '#!/bin/bash\nwhile [[ $1 == -* ]]; do [[ $1 == -w ]] && shift; shift; done\nexec "$@"\n'
    )
    (programs / "scontrol").write_text("#!/bin/sh\nprintf '127.0.0.1\\n127.0.0.1\\n'\n")
    for one in programs.iterdir():
        if not one.is_symlink():
            one.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environment(shared: Path) -> dict[str, str]:
    path = f"{shared / 'bin'}:{os.environ['PATH']}"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"} | token


def end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def until(call: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not call():
        assert time.monotonic() < limit, "the cluster did not come up"
        time.sleep(1)


@pytest.fixture(scope="module")
def head(shared: Path, environment: dict[str, str]) -> Iterator[str]:
    """The page's cluster: a head and two nodes with two CPUs each, where other machines would have their own."""
    port = a_port()
    small = " --num-cpus=2 --object-store-memory=100000000"
    lines = [f"{HEAD_LINE} --include-dashboard=false --node-ip-address=127.0.0.1{small}", *[f"{NODE_LINE}{small}"] * 2]
    started = []
    try:
        for number, line in enumerate(lines):
            text = line.replace("6379", str(port)).replace("HEAD", "127.0.0.1")
            log = (shared / f"node{number}.log").open("wb")
            started.append(subprocess.Popen(text.split(), env=environment, stdout=log, stderr=subprocess.STDOUT))
            address = f"127.0.0.1:{port}"
            until(lambda: _nodes(address, environment) > number)  # noqa: B023  (called before the next turn)
        yield f"127.0.0.1:{port}"
    finally:
        for one in started:
            with suppress(psutil.NoSuchProcess):
                end(psutil.Process(one.pid))


def _nodes(address: str, environment: dict[str, str]) -> int:
    asked = subprocess.run(
        [Path(sys.executable).with_name("ray"), "status", f"--address={address}"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return len(re.findall(r"^ *1 node_", asked.stdout, re.MULTILINE))


def run(text: str, shared: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text.replace("/shared", str(shared))],
        env=environment, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


def test_the_commands_of_the_page_run_on_several_nodes(shared: Path, environment: dict[str, str], head: str) -> None:
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        ended = run(command.replace("HEAD:6379", head), shared, environment)
        assert ended.returncode == 0, (command, ended.stderr)
    assert manifest_of(shared / "shards").rows == 2
    assert manifest_of(shared / "labelled").rows == 4
    assert "already complete" in ended.stderr or "steps" in ended.stderr


def test_the_slurm_script_starts_ray_on_its_nodes_and_runs_a_command(shared: Path, environment: dict[str, str]) -> None:
    script = blocks("bash")[0].replace("6379", str(a_port())).replace("source /shared/venv/bin/activate\n", "")
    script = script.replace("--head ", "--head --node-ip-address=127.0.0.1 ")
    script = script.replace("--block &", "--block --num-cpus=1 --object-store-memory=100000000 >/dev/null 2>&1 &")
    shutil.rmtree(shared / "by-slurm", ignore_errors=True)
    job = shared / "cluster.sh"
    job.write_text(script)
    command = (
        COMMANDS[0].partition(" ")[2].replace("/shared/shards", "/shared/by-slurm").replace("/shared", str(shared))
    )
    process = subprocess.Popen(
        ["bash", str(job), *command.split()],
        env=environment | {"SLURM_JOB_NODELIST": "node[1-2]"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: (shared / "by-slurm" / "manifest.json").exists() or process.poll() not in (None, 0), 240)
        assert manifest_of(shared / "by-slurm").rows == 2
    finally:
        end(psutil.Process(process.pid))
        for one in psutil.process_iter(["environ"]):  # what the script left in the background
            if (one.info["environ"] or {}).get("SLURM_JOB_NODELIST") == "node[1-2]":
                end(one)


def test_the_torchrun_script_is_torchruns_and_ours() -> None:
    script = blocks("bash")[1]
    (line,) = re.findall(r"srun (torchrun .*?)\n\n?$", script.replace("\\\n", ""), re.DOTALL)
    from torch.distributed.run import get_args_parser

    from pipelines.train.command import parser

    words = re.sub(r'"?\$\w+"?', "2", line).replace("2:29500", "host:29500").split()[1:]
    own = words.index("pipelines.train")
    given = get_args_parser().parse_args([one for one in words[:own] if one != "--"] + ["pipelines.train"])
    assert (given.nnodes, given.nproc_per_node, given.rdzv_backend) == ("2", "8", "c10d")
    assert parser().parse_args(words[own + 1 :]).go_on


def test_the_kubernetes_file_is_a_ray_job_with_a_command_of_ours() -> None:
    import typer

    from pipelines.cli import app

    (job,) = (yaml.safe_load(block) for block in blocks("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    program, group, name, *rest = job["spec"]["entrypoint"].split()
    command = typer.main.get_command(app).commands[group].commands[name]  # type: ignore[attr-defined]
    assert program == "xdetr-data"
    command.make_context(name, rest, resilient_parsing=True)
    for group in (job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]):
        assert all(one["image"] for one in group["template"]["spec"]["containers"])
