"""Keeps a model as a checkpoint directory with its card: what ``pseudo-label --ckpt`` takes."""

from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from pipelines.train.build import Built
from pipelines.train.folder import with_temporary
from pipelines.train.job import Job
from pipelines.train.recipe import Length
from xdetr_model.checkpoints.directory import ModelCard, save_checkpoint


def keep_model(path: Path, built: Built, job: Job, step: int, length: Length, figures: dict[str, float]) -> None:
    """Writes the model as it is (the averaged weights, where the caller has put them there) to ``path``, atomically."""
    given = [(name, dataset) for name, datasets in job.sources.items() for dataset in datasets]
    sources = " ".join(f"--{name} {Path(dataset.path).name}" for name, dataset in given)
    photos = ", ".join(f"{name}: {dataset.photos:,} photos" for name, dataset in given)
    card = ModelCard(
        title=job.run.title,
        description=f"X-DETR after {step:,} of {length.total_steps:,} steps (averaged weights), seed {job.run.seed}.",
        command=f"xdetr-train --run run.yaml {sources} --out RUN",
        data=f"{job.run.data_note} ({photos})",
        figures=figures,
    )
    disable_progress_bar()  # of the library's saving, which writes in the middle of our lines
    with_temporary(
        path, lambda folder: save_checkpoint(folder, built.model, built.tokenizer, built.image_processor, card)
    )
