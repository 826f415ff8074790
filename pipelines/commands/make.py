"""The command of any recipe: its flags come from its options, its help from its docstring."""

from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from pipelines import options
from pipelines.flags import own_parameters, parameters, parse, with_flags

_RUN = {
    "out": (options.Out, ""),
    "workers": (options.Workers, -1),
    "max_error_rate": (options.MaxErrorRate, 0.1),
    "strict": (options.Strict, False),
    "dry_run": (options.DryRun, False),
    "resume": (options.Resume, False),
    "overwrite": (options.Overwrite, False),
    "add": (options.Add, False),
    "config": (options.Config, None),
    "verbose": (options.Verbose, False),
    "quiet": (options.Quiet, False),
    "log": (options.LogFile, None),
    "json": (options.Json, False),
    "debug": (options.Debug, False),
}
_MODEL = {
    "gpus": (
        Annotated[int, typer.Option(help="Processes with a GPU each; 0: the CPUs that --workers says.", min=0)],
        0,
    ),
    "other_machine": (
        Annotated[
            bool,
            typer.Option("--other-machine", help="--resume on another kind of processor, GPU or library versions."),
        ],
        False,
    ),
}


def command_of(recipe: Callable[..., Any], *, has_model: bool = False) -> Callable[..., None]:
    """The command that makes the dataset of a recipe, the function from its options to its ``Recipe``."""
    kind = get_type_hints(recipe)["options"]

    def make(**values: Any) -> int:
        from pipelines.engine.run import prepare, run_recipe
        from pipelines.execution import executor
        from pipelines.summary import finish, print_plan
        from xdetr_data.storage import Folder

        if not values["out"] and not values["dry_run"]:
            raise typer.BadParameter("give --out DIR (or --dry-run to see the plan)")
        how = options.existing(resume=values["resume"], overwrite=values["overwrite"], add=values["add"])
        made = recipe(parse(kind, values))
        workers = options.processes(values["workers"])
        if values["dry_run"] and not values["add"]:
            with executor(0) as run:
                print_plan(prepare(made, run), workers, as_json=values["json"])
            return options.DONE
        model = {name: values[name] for name in _MODEL if name in values}
        if model.get("other_machine") and not (values["resume"] or values["add"]):
            raise typer.BadParameter(
                "--other-machine says where to go on: give --resume too (or --add), or leave it out"
            )
        if values["add"]:
            from pipelines.growing.grow import add

            manifest = add(made, values["out"], workers=workers, dry_run=values["dry_run"], **model)
            if values["dry_run"]:
                return options.DONE
        else:
            manifest = run_recipe(made, Folder(values["out"]), workers=workers, existing=how, **model)
        code = finish(
            manifest,
            values["out"],
            max_error_rate=values["max_error_rate"],
            as_json=values["json"],
            strict=values["strict"],
        )
        if has_model:
            from pipelines.labelling.scores import say_scores

            say_scores(Folder(values["out"]), manifest)
        return code

    flags = own_parameters(_RUN | (_MODEL if has_model else {}))
    return options.command(with_flags(make, [*parameters(kind), *flags], recipe.__doc__))
