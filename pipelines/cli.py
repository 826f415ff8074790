"""The command line ``xdetr-data``. A command's module is imported when the command is named, and not before."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pipelines import options, recipes
from pipelines.lazy import Loader, common, lazy_group, loader

_MIXED_STAR = "mixed_star"  # its command stands at the top


def _command(module: str, name: str) -> Loader:
    return loader(f"pipelines.commands.{module}", name)


def _recipe(module: str) -> Loader:
    def load() -> Callable[..., Any]:
        from pipelines.commands.make import command_of

        made = import_module(f"pipelines.recipes.{module}")
        return command_of(made.recipe, has_model=made.GROUP == "pseudo-label")

    return load


def _recipes(group: str) -> dict[str, Loader]:
    """The recipes' commands of a group: one for each file of ``pipelines/recipes``, called after it, or by ``NAME``."""
    names = [one.name for one in pkgutil.iter_modules(recipes.__path__)]
    made = {name: import_module(f"pipelines.recipes.{name}") for name in names if name != _MIXED_STAR}
    return {
        getattr(one, "NAME", name.replace("_", "-")): _recipe(name) for name, one in made.items() if group == one.GROUP
    }


app = lazy_group(
    {
        "demo": _command("demo", "demo"),
        "build": lambda: lazy_group(
            _recipes("build"), "Build training shards from a public dataset.", no_args_is_help=True
        ),
        "build-mixed-star": _recipe(_MIXED_STAR),
        "pseudo-label": lambda: lazy_group(
            _recipes("pseudo-label"), "Label photos with a model.", no_args_is_help=True
        ),
        "rethreshold": _command("rethreshold", "rethreshold"),
        "validate": _command("validate", "validate"),
        "stats": _command("stats", "stats"),
        "show": _command("show", "show"),
        "report": _command("report", "report"),
        "qa": _command("qa", "qa"),
        "review": _command("review", "app"),
        "sources": _command("sources", "sources"),
        "toyworld": _command("toyworld", "toyworld"),
    },
    "Turns the public grounding datasets into training shards, and lets you look at every label.",
    name="xdetr-data",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(common)


def main() -> None:
    """Entry point."""
    options.run(app)


if __name__ == "__main__":
    main()
