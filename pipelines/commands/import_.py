"""``xdetr-data import``."""

from pipelines.commands.make import command_of
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import ImportOptions


def recipe(options: ImportOptions) -> Recipe:
    """Turn a file, or the files of an export, of another trainer's format into shards.

    The manifest accounts for every line and region; damaged ones are rejected with their reasons. Of a folder, the
    files in it or in its `annotations` are read, each called after the collection of its photos.

    **Examples**

    `xdetr-data import exports/mixed-star --from odvg --image-root coco=coco/train2014 --out shards/again`

    `xdetr-data import flickr_odvg.jsonl --from odvg --image-root flickr=flickr30k-images --out shards/flickr-odvg`
    """
    from pipelines.recipes import import_odvg

    options.check()
    return import_odvg.recipe(options)


import_ = command_of(recipe)
