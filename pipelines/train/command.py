"""The command line ``xdetr-train`` (argparse: a bare training node has no typer): flags, exit codes, one-line errors.

Exit codes: 0 done, 1 failed, 2 usage, 130 and 143 stopped by SIGINT and SIGTERM after saving.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from pipelines import extras
from pipelines.bundled import run_file, run_files
from pipelines.train.say import fail, in_one_line, say
from pipelines.train.stopping import INTERRUPTED
from pipelines.train.trackers import NAMES

DONE, FAILED, USAGE = 0, 1, 2

EXAMPLES = """\
examples:
  xdetr-train --run toy --full SHARDS --val VAL_SHARDS --out RUN
  xdetr-train --run pretrain --full OUT_MIXED --pseudo OUT_LOCNAR --weak OUT_CC --dry-run
  torchrun --nproc-per-node 8 -m -- pipelines.train --run pretrain --full OUT_MIXED … --out RUN
  xdetr-train --launcher ray --num-workers 16 --run pretrain --full OUT_MIXED … --out RUN
  xdetr-train --resume RUN
  xdetr-train --go-on --run toy --full SHARDS --out RUN      (begins, or goes on: for requeued jobs)
"""


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = argparse.ArgumentParser(
        prog="xdetr-train",
        description="Train X-DETR on shards; RUN/model is a checkpoint that 'xdetr-data pseudo-label --ckpt' takes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--run", metavar="FILE|NAME", help="run file, complete and strictly parsed, or one that comes with the package")
    add("--list-runs", action="store_true", help="print the run files that come with the package, and end")
    datasets: dict[str, Any] = {"metavar": "DIR", "action": "append", "default": []}
    add("--full", **datasets, help="dataset with boxes and phrases that people drew (build-mixed-star); repeatable")
    add("--pseudo", **datasets, help="dataset with pseudo-labels (pseudo-label); repeatable")
    add("--weak", **datasets, help="dataset of photos with captions, no boxes (build captions); repeatable")
    add("--val", **datasets, help="dataset to evaluate on during training; repeatable, each has its own figures")
    add(
        *("--mix",),
        **{"metavar": "SOURCE=SHARES", "action": "append", "default": []},
        help="shares of a source's datasets, as full=3,1 (default: every visit once a pass); repeatable",
    )
    add("--out", metavar="RUN", help="new folder for the run: checkpoints, metrics.jsonl, events, model/")
    add("--resume", metavar="RUN", help="go on from the newest checkpoint of a run; its own run file and datasets hold")
    add(
        "--go-on",
        action="store_true",
        help="go on where --out holds this very run already, begin it where not (as torchrun's restarts do anyway)",
    )
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="change a value of the run file; repeatable")
    add("--seed", type=int, metavar="N", help="instead of the run file's")
    add("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    add(
        "--track",
        action="append",
        choices=NAMES,
        default=[],
        help="tell this one of the metrics, too, where it is installed (events/ is for TensorBoard anyway); repeatable",
    )
    add("--launcher", choices=("local", "ray"), default="local", help="ray: Ray Train on this or RAY_ADDRESS's cluster")
    add("--num-workers", type=int, default=1, metavar="N", help="processes under --launcher ray (default: 1)")
    add("--dry-run", action="store_true", help="print steps, samples, rates, schedule and memory; write nothing")
    add("--version", action="store_true", help="print the version, and end")
    add("--print-completion", choices=("bash", "zsh", "tcsh"), help="print the shell's completion script, and end")
    add("--debug", action="store_true", help="show the traceback of an error")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of ``xdetr-train``; leaves with an exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    made = parser()
    if not given:
        made.print_help()
        sys.exit(DONE)
    arguments = made.parse_args(given)
    if arguments.list_runs:
        _list_runs()
        sys.exit(DONE)
    if arguments.version:
        from xdetr_data.manifest import tool_version

        sys.stdout.write(f"{tool_version()}\n")
        sys.exit(DONE)
    if arguments.print_completion:
        sys.exit(_print_completion(made, arguments.print_completion))
    _check_usage(made, arguments)
    sys.exit(_run(arguments))


def _list_runs() -> None:
    """A line for each run file that comes with the package: its name, its title, where it is."""
    import yaml

    found = run_files()
    for name, path in found.items():
        title = yaml.safe_load(path.read_bytes())["title"]
        sys.stdout.write(f"{name:{max(map(len, found))}}  {title}  ({path})\n")


def _print_completion(made: argparse.ArgumentParser, shell: str) -> int:
    """The script that a shell evaluates; the exit code."""
    try:
        import shtab
    except ModuleNotFoundError:
        fail(f"shtab is not installed; it comes with {extras.install_line('shtab')}")
        return USAGE
    sys.stdout.write(shtab.complete(made, shell=shell) + "\n")
    return DONE


def _check_usage(made: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.resume:
        fixed = ("run", "mix", "out", "set", "seed")
        if arguments.go_on:
            made.error("--go-on is for the command that begins a run; --resume goes on anyway")
        if given := [name for name in fixed if getattr(arguments, name) not in (None, [])]:
            made.error(f"--resume goes on with what the run began with; leave out --{given[0]}")
    else:
        if not arguments.run:
            made.error("give --run FILE (or a NAME of --list-runs), or --resume RUN")
        arguments.run = run_file(arguments.run)
        if not Path(arguments.run).is_file():
            made.error(f"--run {arguments.run}: no such file, and no name of --list-runs ({', '.join(run_files())})")
        if not arguments.out and not arguments.dry_run:
            made.error("give --out RUN, a new folder (or --dry-run to see the plan)")
    if arguments.num_workers < 1:
        made.error("--num-workers must be at least 1")
    if arguments.launcher == "local" and arguments.num_workers > 1:
        made.error(
            f"--num-workers is for --launcher ray; on this machine: torchrun --nproc-per-node {arguments.num_workers} "
            "-m -- pipelines.train …"
        )
    if arguments.launcher == "ray" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        made.error("--launcher ray starts its own processes; call it without torchrun")


def _run(arguments: argparse.Namespace) -> int:
    from xdetr_data.errors import XdetrDataError
    from xdetr_model.errors import XdetrModelError

    try:
        return _start(arguments)
    except KeyboardInterrupt:
        fail("interrupted before the first step; nothing is lost")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if (line := extras.missing(error)) is None:
            raise
        fail(line)
        return USAGE
    except (XdetrDataError, XdetrModelError, OSError, MemoryError) as error:
        if arguments.debug:
            say(traceback.format_exc())
        fail(in_one_line(error))
        return FAILED
    except RuntimeError as error:
        from pipelines.train.failures import explain

        line = explain(error)
        if line is None:
            raise
        if arguments.debug:
            say(traceback.format_exc())
        fail(line)
        return FAILED


def _start(arguments: argparse.Namespace) -> int:
    from pipelines.train.folder import local_folder
    from pipelines.train.job import Job, new_job, resumed_job
    from pipelines.train.trackers import check_trackers

    where: dict[str, Any] = {"device": arguments.device}
    job: Job
    sources = {name: getattr(arguments, name) for name in ("full", "pseudo", "weak", "val")}
    given = {name: paths for name, paths in sources.items() if paths}
    if arguments.resume:
        job = resumed_job(str(local_folder("--resume", arguments.resume)), moved=given, **where)
    else:
        changes = [*arguments.set, *([] if arguments.seed is None else [f"seed={arguments.seed}"])]
        goes_on = arguments.go_on or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
        out = None if arguments.out is None else str(local_folder("--out", arguments.out))
        job = new_job(arguments.run, changes, given, out, mix=arguments.mix, goes_on=goes_on, **where)
    check_trackers(arguments.track)
    job = replace(job, trackers=tuple(arguments.track))
    if arguments.dry_run:
        from pipelines.train.plan import print_plan

        if os.environ.get("RANK", "0") == "0":  # under torchrun one speaks for all
            print_plan(job, processes=job.began or max(arguments.num_workers, int(os.environ.get("WORLD_SIZE", "1"))))
        return DONE
    if arguments.launcher == "ray":
        from pipelines.train.ray_launcher import train_on_ray

        return train_on_ray(job, arguments.num_workers)
    from pipelines.train.processes import process_group
    from pipelines.train.run import train

    with process_group(job.device) as group:
        return train(job, group)
