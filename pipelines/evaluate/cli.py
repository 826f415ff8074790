"""The command line ``xdetr-eval``. A command's module is imported when the command is named, and not before."""

from pipelines import options
from pipelines.lazy import common, lazy_group, loader

app = lazy_group(
    {
        "boxes": loader("pipelines.evaluate.commands.measure", "boxes"),
        "lvis": loader("pipelines.evaluate.commands.measure", "lvis"),
        "flickr30k": loader("pipelines.evaluate.commands.measure", "flickr30k"),
        "refcoco": loader("pipelines.evaluate.commands.measure", "refcoco"),
        "presence": loader("pipelines.evaluate.commands.measure", "presence"),
        "labels": loader("pipelines.evaluate.commands.labels", "labels"),
        "score": loader("pipelines.evaluate.commands.score", "score"),
    },
    "Measures checkpoints, teachers and labels: every figure with its protocol.",
    name="xdetr-eval",
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
