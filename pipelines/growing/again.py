"""The recipe that a finished dataset was made with, from its manifest."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_type_hints

import msgspec

from pipelines import recipes
from pipelines.engine.recipe import Recipe
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import Manifest


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe with the options of a dataset; raises ConfigError where no recipe made it, or its options are none."""
    made = _command(manifest.recipe)
    if made is None:
        raise ConfigError(f"the dataset was made by '{manifest.recipe}', which reads no photos that could be mended")
    values = {name: value for name, value in manifest.config.items() if name != "models"}
    try:
        options = msgspec.convert(values, get_type_hints(made)["options"])
    except msgspec.ValidationError as error:
        raise InputError(f"the manifest's options are not those of '{manifest.recipe}' ({error})") from error
    recipe: Recipe = made(options)
    return recipe


def _command(name: str) -> Any:
    """The function from options to a recipe of a command."""
    if name.startswith("import "):
        from pipelines.importing.recipe import recipe

        return recipe
    for module in iter_modules(recipes.__path__):
        found = import_module(f"{recipes.__name__}.{module.name}")
        said = getattr(found, "NAME", module.name.replace("_", "-"))
        if name in (f"{found.GROUP} {said}", f"{found.GROUP}-{said}"):
            return found.recipe
    return None
