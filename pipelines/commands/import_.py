"""``xdetr-data import``."""

from pipelines.commands.make import command_of
from pipelines.importing.recipe import recipe

import_ = command_of(recipe)
