"""A group of processes that is started again by what started it before, and what is said where one is lost."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import torch
from torch import distributed

from pipelines.train.failures import explain
from tests.pipelines.train.tiny_run import ROOT

JOIN = """
import os, sys, torch
from pipelines.train.processes import process_group
with process_group("cpu") as group:
    total = torch.ones(1)
    torch.distributed.all_reduce(total)
    print(f"{group.rank} of {int(total)}", flush=True)
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os._exit(9)  # lost, and says goodbye to nobody
"""
AHEAD_S = 8  # in which the first process has looked for the second one


def test_processes_that_are_started_again_do_not_look_for_those_that_were_lost() -> None:
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=60))  # as torchrun's, kept
    lost = [_member(store.port, rank, start=0) for rank in (0, 1)]
    assert [_said(one) for one in lost] == ["0 of 2", "1 of 2"]
    first = _member(store.port, 0, start=1)
    time.sleep(AHEAD_S)
    second = _member(store.port, 1, start=1)
    assert [_said(one) for one in (first, second)] == ["0 of 2", "1 of 2"]


def _member(port: int, rank: int, start: int) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "RANK": str(rank), "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": str(start),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", JOIN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _said(member: "subprocess.Popen[str]") -> str:
    try:
        return member.communicate(timeout=120)[0].strip()
    finally:
        member.kill()


def test_a_lost_process_is_told_of_with_the_remedy() -> None:
    line = "[/build/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:9138: Connection reset by peer"
    for error in (RuntimeError(line), distributed.DistNetworkError("the store has no answer")):
        said = explain(error)
        assert said is not None
        assert "start all with --resume RUN" in said
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert "lower batch.full" in (explain(torch.OutOfMemoryError("CUDA out of memory")) or "")
