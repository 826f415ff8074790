"""The recipe of an import, whatever the format."""

from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import ImportOptions


def recipe(options: ImportOptions) -> Recipe:
    """Turn a file, or the files of an export, of another trainer's format into shards.

    The manifest accounts for every element of the inputs; damaged ones are rejected with their reasons. `odvg` and
    `grit` (also Parquet): of a folder, the files in it or in its `annotations` are read, each called after the
    collection of its photos. `coco`: a class of a photo is a query; masks and LVIS's fields are kept. `mdetr`: a
    paragraph is a query as it is; `build-mixed-star` splits those that were packed.

    **Examples**

    `xdetr-data import exports/mixed-star --from odvg --image-root coco=coco/train2014 --out shards/again`

    `xdetr-data import flickr_odvg.jsonl --from odvg --image-root flickr=flickr30k-images --out shards/flickr-odvg`

    `xdetr-data import my/instances.json --from coco --source mine --image-root mine=my/photos --out shards/mine`

    `xdetr-data import coyo_0_snappy.parquet --from grit --image-root grit=grit/images --out shards/grit`
    """
    options.check()
    if options.origin == "coco":
        from pipelines.importing import coco

        return coco.recipe(options)
    if options.origin == "mdetr":
        from pipelines.importing import mdetr

        return mdetr.recipe(options)
    from pipelines.importing import region_lines

    return region_lines.recipe(options)
