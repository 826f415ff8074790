"""The command line ``xdetr-data``. A command's module is imported when the command is named, and not before."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
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
    found = {file.stem: _constants(file) for file in sorted(Path(recipes.__path__[0]).glob("[a-z]*.py"))}
    return {
        said.get("NAME", stem.replace("_", "-")): _recipe(stem)
        for stem, said in found.items()
        if stem != _MIXED_STAR and said["GROUP"] == group
    }


def _constants(recipe: Path) -> dict[str, str]:
    """Names that a recipe's text gives to strings; to import all recipes would take the help of one group too long."""
    said = {}
    for line in ast.parse(recipe.read_bytes()).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                said[name] = text
    return said


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
        "ground": _command("ground", "ground"),
        "rethreshold": _command("rethreshold", "rethreshold"),
        "status": _command("status", "status"),
        "export": _command("export", "export"),
        "import": _command("import_", "import_"),
        "retry-failed": _command("retry_failed", "retry_failed"),
        "fingerprints": _command("fingerprints", "fingerprints"),
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
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(common)


def main() -> None:
    """Entry point."""
    options.run(app)


if __name__ == "__main__":
    main()
