"""``--dry-run``: what a run would do, worked out from the manifests and the model's shapes; nothing is written."""

from collections.abc import Sequence
from typing import cast

from pipelines.train.build import elsewhere, shape
from pipelines.train.folder import Dataset
from pipelines.train.job import Job
from pipelines.train.loading.handover import slot_bytes, slot_count
from pipelines.train.memory import Memory, memory_estimate
from pipelines.train.processes import Group
from pipelines.train.recipe import Length, data_config, group_plans, length_of, make_batches, photos_per_step
from pipelines.train.runfile import FromPublished, RunFile
from pipelines.train.say import say
from xdetr_data.loading.config import Unit
from xdetr_data.loading.order import steps_of_a_pass
from xdetr_model.device import pick_device
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.train.batch import SourceName
from xdetr_model.train.parameters import ParameterGroup, parameter_groups
from xdetr_model.train.step import GroupPlan

GIB = 2**30


def print_plan(job: Job, *, processes: int) -> None:
    """Prints the plan to stderr; raises what :func:`train` would raise for the same reasons."""
    run = job.run
    model = shape(run.model)
    group = Group(rank=0, size=processes, device=pick_device("cpu"))
    tokens = int(model.config.max_text_tokens)
    batches = make_batches(run, job.training, job.shares, word_tokenizer(), tokens, group)
    length = length_of(run, batches.steps_per_epoch)
    say(f"{run.title}: {length.total_steps:,} steps, {length.epochs:.2f} epochs of {length.an_epoch} steps")
    for line in [
        *_source_lines(job, length, processes),
        _epoch_line(job, length, processes),
        *_elsewhere_lines(run),
        *_group_lines(parameter_groups(model), group_plans(run, processes)),
        *_schedule_lines(length, group_plans(run, processes)),
        *_memory_lines(run, memory_estimate(run, model)),
        f"saves every {run.save.every_steps:,} steps, evaluates every {run.evaluate.every_steps:,}"
        + ("" if "val" in job.sources else " (without --val: writes model/ only)"),
    ]:
        say(line)


def _source_lines(job: Job, length: Length, processes: int) -> list[str]:
    """What a run sees of each source; a pass is over what ``data.unit`` says."""
    lines = [f"  {'source':8}{'photos':>12}{'paragraphs':>12}{'a step':>10}{'in all':>14}{'passes':>9}"]
    for name, datasets in job.training.items():
        step = photos_per_step(job.run, cast(SourceName, name), processes)
        seen, visits = step * length.total_steps, visits_of(datasets)
        passes = seen / visits[job.run.data.unit]
        lines.append(f"  {name:8}{visits['photo']:>12,}{visits['paragraph']:>12,}{step:>10,}{seen:>14,}{passes:>9.2f}")
    return lines


def _epoch_line(job: Job, length: Length, processes: int) -> str:
    """An epoch in both units: papers count paragraphs where a photo has many."""
    name, datasets = next(iter(job.training.items()))
    unit = job.run.data.unit
    other: Unit = "photo" if unit == "paragraph" else "paragraph"
    batch = int(getattr(job.run.batch, name))
    steps = steps_of_a_pass(visits_of(datasets)[other], processes, batch) // job.run.optimiser.accumulate
    return (
        f"  an epoch goes over every {unit} of {name} once: {length.an_epoch} steps "
        f"(over every {other}, data.unit={other}: {steps:,})"
    )


def _elsewhere_lines(run: RunFile) -> list[str]:
    """What published weights are on the hub, and not looked at for a plan."""
    start = run.model.start
    if not isinstance(start, FromPublished):
        return []
    return [
        f"  {name} is not here: "
        + ("numbers are for a text encoder of the preset's shape" if name == start.text_encoder else "not looked at")
        for name in elsewhere(start)
    ]


def visits_of(datasets: Sequence[Dataset]) -> dict[Unit, int]:
    """How many photos and how many paragraphs datasets hold together."""
    return {"photo": sum(one.photos for one in datasets), "paragraph": sum(one.paragraphs for one in datasets)}


def _group_lines(groups: tuple[ParameterGroup, ...], plans: dict[str, GroupPlan]) -> list[str]:
    lines = [f"  {'parameters':24}{'tensors':>8}{'numbers':>14}{'rate':>10}"]
    for group in groups:
        rate = plans[group.name].rate
        told = f"{rate:>10.2e}" if rate else f"{0:>10} (not trained)"
        lines.append(f"  {group.name:24}{len(group.parameters):>8}{group.numbers:>14,}{told}")
    return lines


def _schedule_lines(length: Length, plans: dict[str, GroupPlan]) -> list[str]:
    """The rates' factors at the first, the last and eleven steps in all."""
    steps = sorted({round(share / 10 * (length.total_steps - 1)) for share in range(11)})
    lines = [f"  {'at step':16}" + "".join(f"{step:>10,}" for step in steps)]
    for name in ("text_encoder", "rest"):
        factors = [plans[name].schedule.factor(step, length.total_steps, length.steps_per_epoch) for step in steps]
        lines.append(f"  {name + ' ×':16}" + "".join(f"{factor:>10.3g}" for factor in factors))
    return lines


def _memory_lines(run: RunFile, memory: Memory) -> list[str]:
    least, most = (memory.weights + one for one in (memory.activations, memory.activations_mixed))
    shared = slot_count(run.data.workers) * slot_bytes(data_config(run), run.batch.photos)
    return [
        f"  memory of a process: about {least / GIB:.1f} GiB at the largest size, {most / GIB:.1f} where upright and "
        f"wide photos meet (weights, gradients, optimiser and average {memory.weights / GIB:.2f}, activations about "
        f"{memory.activations / GIB:.1f} or {memory.activations_mixed / GIB:.1f}, {run.compute.precision})",
        f"  shared memory of a process's loader (/dev/shm): {shared / GIB:.2f} GiB",
    ]
