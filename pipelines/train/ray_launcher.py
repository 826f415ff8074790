"""``--launcher ray``: the same run in the workers of Ray Train's TorchTrainer, started again after a lost worker.

Every worker trains as it would under torchrun and writes to the same run folder, which all nodes must share. What is
resumed from is the run's own newest checkpoint, so Ray's checkpoints are not needed.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipelines.train import folder
from pipelines.train.failures import explain
from pipelines.train.job import Job
from pipelines.train.processes import PATIENCE
from pipelines.train.say import in_one_line, say
from xdetr_data.errors import ConfigError, XdetrDataError
from xdetr_model.errors import XdetrModelError

MOST_RESTARTS = 10
FAILURE = "failure.txt"  # an error of the input: no restart mends it

# Ray's own settings, unless the environment has others: a busy machine takes minutes to start a node and its workers,
# and on a cluster without Ray's dashboard a helper of Ray Train says every second that it cannot ask it.
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "Failed to query Ray Train Controller actor state",
}


def train_on_ray(job: Job, workers: int) -> int:
    """Trains with ``workers`` processes, a GPU each unless there is none or ``--device cpu``; the exit code."""
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)  # before ray is imported, which reads some of them then
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    assert job.out is not None
    out = job.out.resolve()
    if job.began is None:
        folder.begin(out, job.run, folder.Started(sources=job.sources, shares=job.shares, processes=workers))
    elif job.began != workers:
        raise ConfigError(f"--resume {out}: began with {job.began} processes; say --num-workers {job.began}")
    (out / FAILURE).unlink(missing_ok=True)
    if not ray.is_initialized():
        if os.environ.get("RAY_ADDRESS"):
            ray.init()
        else:  # a cluster of its own on this machine, whatever else runs here
            ray.init(address="local", num_cpus=max(workers, os.cpu_count() or 1), include_dashboard=False)
    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    device = "cuda" if job.device.startswith("cuda") or (job.device == "auto" and has_gpus) else "cpu"
    trainer = TorchTrainer(
        train_in_worker,
        train_loop_config={"job": replace(job, out=out, began=workers, device=device)},
        torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=device == "cuda"),
        run_config=RunConfig(
            name="ray", storage_path=str(out), failure_config=FailureConfig(max_failures=MOST_RESTARTS)
        ),
    )
    trainer.fit()
    if (out / FAILURE).is_file():
        raise XdetrDataError((out / FAILURE).read_text(encoding="utf-8"))
    say(f"all {workers} workers are done")
    return 0


def train_in_worker(config: dict[str, Any]) -> None:
    """What each worker runs; the process group is Ray's.

    An error that restarts cannot mend is written down and ends the run at the next start, for all workers alike.
    """
    from ray.train import get_context
    from ray.train.torch import get_device

    from pipelines.train.processes import Group
    from pipelines.train.run import train

    job: Job = config["job"]
    assert job.out is not None
    if (job.out / FAILURE).is_file():
        return
    context = get_context()
    group = Group(rank=context.get_world_rank(), size=context.get_world_size(), device=get_device())
    try:
        train(job, group)
    except (XdetrDataError, XdetrModelError, torch.OutOfMemoryError) as error:
        told = explain(error) if isinstance(error, torch.OutOfMemoryError) else None
        folder.write_whole(Path(job.out / FAILURE), (told or in_one_line(error)).encode())
        raise
