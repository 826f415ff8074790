"""The command line ``xdetr-search``. A command's module is imported when the command is named, and not before."""

from pipelines import options
from pipelines.lazy import common, lazy_group, loader

app = lazy_group(
    {
        name: loader(f"pipelines.search.commands.{name}", name)
        for name in ("index", "query", "evaluate", "serve", "remove")
    },
    "Finds the instances that a sentence means in a database of photos.",
    name="xdetr-search",
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
