"""The command line ``xdetr-data``. A command's module is imported when the command is named, and not before."""

import pkgutil
from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines import options, recipes

Loader = Callable[[], typer.Typer | Callable[..., Any]]

_MIXED_STAR = "mixed_star"  # its command stands at the top


def _command(module: str, name: str) -> Loader:
    return lambda: getattr(import_module(f"pipelines.commands.{module}"), name)


def _recipe(module: str) -> Loader:
    def load() -> Callable[..., Any]:
        from pipelines.commands.make import command_of

        made = import_module(f"pipelines.recipes.{module}")
        return command_of(made.recipe, has_model=made.GROUP == "pseudo-label")

    return load


def _recipes(group: str) -> dict[str, Loader]:
    """The recipes' commands of a group: one for each file of ``pipelines/recipes``, called after it."""
    names = [one.name for one in pkgutil.iter_modules(recipes.__path__)]
    return {
        name.replace("_", "-"): _recipe(name)
        for name in names
        if name != _MIXED_STAR and group == import_module(f"pipelines.recipes.{name}").GROUP
    }


class _Lazy(MutableMapping[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __init__(self, loaders: dict[str, Loader]) -> None:
        self._loaders = loaders
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            made = self._loaders[name]()
            if not isinstance(made, typer.Typer):
                command = typer.Typer(add_completion=False, rich_markup_mode="markdown")
                command.command(name)(made)
                made = command
            self._made[name] = typer.main.get_command(made)
            self._made[name].name = name
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def _group(loaders: dict[str, Loader], help: str, **more: Any) -> typer.Typer:
    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Lazy(loaders)

    group = typer.Typer(cls=Group, help=help, add_completion=False, rich_markup_mode="markdown", **more)
    group.callback()(lambda: None)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        from xdetr_data.manifest import tool_version

        typer.echo(tool_version())
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app = _group(
    {
        "demo": _command("demo", "demo"),
        "build": lambda: _group(
            _recipes("build"), "Build training shards from a public dataset.", no_args_is_help=True
        ),
        "build-mixed-star": _recipe(_MIXED_STAR),
        "pseudo-label": lambda: _group(_recipes("pseudo-label"), "Label photos with a model.", no_args_is_help=True),
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
app.callback()(_common)


def main() -> None:
    """Entry point."""
    options.run(app)


if __name__ == "__main__":
    main()
