"""Groups of commands whose modules are imported when a command is named, and not before."""

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

Loader = Callable[[], typer.Typer | Callable[..., Any]]


def loader(module: str, name: str) -> Loader:
    """A command: a function of a module."""
    return lambda: getattr(import_module(module), name)


class Command(TyperCommand):
    """A command whose examples, the end of its docstring, stand below the flags as they are typed: unbroken, unframed,
    so that they can be pasted."""

    def __init__(self, name: str | None, *, help: str | None = None, **more: Any) -> None:
        text, _, examples = (help or "").partition("**Example")
        super().__init__(name, help=text, **more)
        blocks = examples.partition("**")[2].split("\n\n")
        self.examples = [" ".join(block.replace("`", "").split()) for block in blocks if block.strip()]

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        """What typer shows, and the examples."""
        super().format_help(ctx, formatter)
        if self.examples:
            typer.echo("Examples:\n")
            for one in self.examples:
                typer.echo(f"  {one}\n")


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
            for one in made.registered_commands:
                one.cls = Command
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


def lazy_group(loaders: dict[str, Loader], help: str, **more: Any) -> typer.Typer:
    """A group of commands by name, in this order."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Lazy(loaders)

    group = typer.Typer(cls=Group, help=help, rich_markup_mode="markdown", **{"add_completion": False} | more)
    group.callback()(lambda: None)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        from xdetr_data.manifest import tool_version

        typer.echo(tool_version())
        raise typer.Exit


def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Flags of the program itself."""
