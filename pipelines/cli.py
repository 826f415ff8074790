"""The command line ``xdetr-data``: one module of ``pipelines.commands`` for each command."""

from typing import Annotated

import typer

from pipelines import options
from pipelines.commands import (
    build_captions,
    build_mixed_star,
    demo,
    pseudo_label,
    qa,
    report,
    review,
    show,
    stats,
    toyworld,
    validate,
)

app = typer.Typer(
    name="xdetr-data",
    help="Turns the public grounding datasets into training shards, and lets you look at every label.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from xdetr_data.manifest import tool_version

        typer.echo(tool_version())
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.add_typer(build_captions.app, name="build")
app.command("build-mixed-star")(build_mixed_star.build_mixed_star)
app.add_typer(pseudo_label.app, name="pseudo-label")
app.command("rethreshold")(pseudo_label.rethreshold)
app.command("validate")(validate.validate)
app.command("stats")(stats.stats)
app.command("show")(show.show)
app.command("report")(report.report)
app.command("qa")(qa.qa)
app.add_typer(review.app, name="review")
app.command("toyworld")(toyworld.toyworld)


def main() -> None:
    """Entry point."""
    options.run(app)


if __name__ == "__main__":
    main()
