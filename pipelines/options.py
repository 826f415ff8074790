"""Flags that several commands share, and the way every command ends: its exit code and its one-line errors."""

import functools
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from typer.exceptions import TyperException

from pipelines import console, extras
from pipelines.cores import cores
from xdetr_data.errors import shown

DONE, FAILED, USAGE, OVER_ERROR_RATE, INVALID, INTERRUPTED = 0, 1, 2, 3, 4, 130

_UNQUOTED = (
    "a pattern such as '*.jsonl' needs quotes, or the shell puts files in its place; several files: repeat the flag; "
    "see --help"
)
PLACES = "What goes in, and where it comes out"
RUN = "How it runs"  # the panel of flags that decide no byte of the output
P = ParamSpec("P")


def apply_config_file(context: typer.Context, path: Path | None) -> Path | None:
    """Takes the values of ``--config FILE`` (YAML, keys as the flags are called) as defaults; flags win."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path}: must hold 'flag: value' lines")
    known = {str(parameter.name): parameter for parameter in context.command.params if parameter.name != "config"}
    defaults = {str(key).replace("-", "_"): value for key, value in values.items()}
    if len(defaults) < len(values):
        raise typer.BadParameter(f"{path}: a key stands twice, once with - and once with _")
    if unknown := sorted(set(defaults) - set(known)):
        raise typer.BadParameter(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    for key, value in defaults.items():
        if isinstance(value, bool) and not getattr(known[key], "is_flag", False):
            raise typer.BadParameter(f"{path}: {key}: YAML reads it as {str(value).lower()}; put text in quotes")
        if isinstance(value, dict):
            defaults[key] = [f"{name}={one}" for name, item in value.items() for one in _several(item)]
        elif getattr(known[key], "multiple", False) and not isinstance(value, list | NoneType):
            defaults[key] = [value]
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _several(value: object) -> list[object]:
    """The texts of a list of them (several folders of one source); of anything else, itself."""
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [value]


def check_share(value: float) -> float:
    """Hands on a share; raises typer.BadParameter for what is none."""
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{value} must be between 0 and 1")
    return value


Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset: a path or any fsspec address.")]
Out = Annotated[
    str,
    typer.Option(
        rich_help_panel=PLACES,
        help="Output folder: a path or any fsspec address (s3://…). [required, unless with --dry-run]",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        rich_help_panel=RUN,
        help="Processes; 0 works in this one. With RAY_ADDRESS set: tasks at a time on that cluster.",
        show_default="number of cores; 0 without Ray",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", rich_help_panel=RUN, help="Print the plan with counts, bytes and an estimate; write nothing."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=RUN, help="Go on where an earlier run of the same command stopped.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=RUN, help="Delete what an earlier run left in --out.")
]
Add = Annotated[
    bool,
    typer.Option(
        "--add",
        rich_help_panel=RUN,
        help="Build inputs and photos that came since into the finished dataset in --out; give the earlier ones, too.",
    ),
]
MaxErrorRate = Annotated[
    float,
    typer.Option(
        rich_help_panel=RUN,
        help="Share of photos lost to errors above which the run, though done, ends with code 3.",
        callback=check_share,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", rich_help_panel=RUN, help="End with code 3, too, where an input gave nothing to the dataset."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=RUN,
        help="YAML file with 'flag: value' lines; flags on the command line win.",
        callback=apply_config_file,
        is_eager=True,
        dir_okay=False,
        exists=True,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", rich_help_panel=RUN, help="Say more: every shard and retry, with times.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=RUN, help="Say warnings and errors only.")]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log",
        rich_help_panel=RUN,
        dir_okay=False,
        help="Append all that is said to a file, with times; a run under way also has it in OUT/_work/log.txt.",
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=RUN, help="Print the result as JSON on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", rich_help_panel=RUN, help="Show the traceback of an error.")]


def processes(workers: int) -> int:
    """What ``--workers`` says, or where it is not given (-1) the cores that this process may use; 0 without Ray."""
    if workers != -1:
        return workers
    if find_spec("ray") is None:
        console.say(f"one process works, as ray is not installed; for several: {extras.install_line('ray')}")
        return 0
    return default_workers()


def default_workers() -> int:
    """The cores that this process may use."""
    return cores()


def parse_bytes(text: str) -> int:
    """``512MB`` or ``1GiB`` → bytes; raises typer.BadParameter for anything else."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r} is no size; write it as 512MB or 1GiB") from error


def parse_pairs(option: str, values: list[str] | None) -> dict[str, list[str]]:
    """``coco=DIR`` flags → mapping, all values of a name; raises typer.BadParameter where one has no sign."""
    pairs: dict[str, list[str]] = {}
    for value in values or ():
        name, sign, rest = value.partition("=")
        if not (name and sign and rest):
            raise typer.BadParameter(f"{option} {value!r} must be written as NAME=VALUE")
        pairs.setdefault(name, []).append(rest)
    return pairs


def parse_number(option: str, text: str) -> float:
    """A number in a flag; raises typer.BadParameter for anything else."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{option}: {text!r} is no number") from None


def existing(*, resume: bool, overwrite: bool, add: bool = False) -> Any:
    """What to do with an output folder that holds something."""
    given = [name for name, is_given in (("--resume", resume), ("--overwrite", overwrite), ("--add", add)) if is_given]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given[:2])} contradict each other")
    return "resume" if resume else "overwrite" if overwrite else "refuse"


def command(body: Callable[P, int | None], go_on: str = "go on with --resume") -> Callable[P, None]:
    """Ends a command with its exit code; an error becomes one line, its traceback shows with ``--debug``.

    ``go_on`` is what to do after an interrupt.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from xdetr_data.errors import ConfigError, XdetrDataError

        try:
            with _said_as(**{name: kwargs.pop(name) for name in ("verbose", "quiet", "log") if name in kwargs}):
                code = body(*args, **kwargs)
        except KeyboardInterrupt:
            console.fail(f"interrupted; what is finished stays: {go_on}")
            raise typer.Exit(INTERRUPTED) from None
        except ModuleNotFoundError as error:
            if (line := extras.missing(error)) is None:
                raise
            console.fail(line)
            raise typer.Exit(USAGE) from None
        except (XdetrDataError, OSError, MemoryError) as error:
            if kwargs.get("debug"):
                sys.stderr.write(shown(traceback.format_exc()))
            console.fail(" ".join(str(error).split()) or type(error).__name__)
            raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from None
        if code:
            raise typer.Exit(code)

    return run


@contextmanager
def _said_as(*, verbose: bool = False, quiet: bool = False, log: Path | None = None) -> Iterator[None]:
    """How much is said, as long as the block runs; what a file cannot take is an OSError, as of any other file."""
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet contradict each other")
    console.listen(1 if verbose else -1 if quiet else 0)
    try:
        with nullcontext() if log is None else console.also_to(logging.FileHandler(log, encoding="utf-8")):
            yield
    finally:
        console.listen(0)


def run(app: typer.Typer) -> NoReturn:
    """Runs a command line and leaves with its exit code; a usage error, too, is one line. Without arguments: help."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except TyperException as error:
        if message := " ".join(error.format_message().split()):  # none where the help was shown in its place
            console.fail(f"{message} ({_UNQUOTED if 'unexpected extra argument' in message else 'see --help'})")
        code = error.exit_code
    except ModuleNotFoundError as error:  # a command that cannot even be imported
        if (line := extras.missing(error)) is None:
            raise
        console.fail(line)
        code = USAGE
    sys.exit(code)
