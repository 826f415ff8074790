"""Whether a run is of the dataset that is there: the same recipe, options and inputs, but for those that came since."""

from collections import Counter
from typing import Any

import msgspec

from pipelines.engine.run import Prepared
from pipelines.recipe_options import deciding
from xdetr_data.errors import ConfigError
from xdetr_data.manifest import Manifest, tool_version


def check_same(before: Manifest, prepared: Prepared, *, may_add: bool) -> list[bool]:
    """Of each source whether it is new, which with ``may_add`` it may be.

    Raises ConfigError where anything else differs, or an input of the dataset is not there as it was.
    """
    recipe = prepared.recipe
    if (before.recipe, before.tool_version) != (recipe.name, tool_version()):
        made = f"was made by '{before.recipe}' of version {before.tool_version}"
        raise ConfigError(f"the dataset {made}, not by '{recipe.name}' of {tool_version()}; build it again")
    now = deciding(recipe.options) | ({"models": prepared.models} if prepared.models else {})
    for name, value in now.items():
        if _plain(value) != _plain(before.config.get(name)):
            raise ConfigError(
                f"the dataset was made with other {name.replace('_', ' ')}; say what it had, or build again"
            )
    earlier = Counter((one.role, one.sha256) for one in before.inputs)
    is_new = []
    for number, one in enumerate(prepared.inputs):
        is_new.append(earlier[one.role, one.sha256] < 1)
        earlier[one.role, one.sha256] -= 1
        if is_new[-1] and not (may_add and number < len(recipe.sources)):
            raise ConfigError(f"{one.path}: is not, or not any more, what the dataset was made from; build it again")
    gone = [one.path for one in before.inputs if earlier[one.role, one.sha256] > 0]
    if gone:
        raise ConfigError(f"{gone[0]}: the dataset was made from it; give it, too, as it was")
    return is_new[: len(recipe.sources)]


def _plain(value: Any) -> Any:
    """A value as a manifest has it."""
    return msgspec.json.decode(msgspec.json.encode(value))
