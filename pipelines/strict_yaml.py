"""YAML as people mean it: ``1e-5`` is a number, no key stands twice, nothing is nested without end."""

import re
from typing import Any

from xdetr_data.errors import ConfigError

MOST_LEVELS = 16  # of mappings and lists within one another
_BARE_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


def load_yaml(text: str, name: str) -> Any:
    """The plain values of a text, which error messages call ``name``; raises ConfigError."""
    import yaml

    try:
        values = yaml.load(text, Loader=_loader(yaml))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the thirty-first of February
        raise ConfigError(f"{name}: is no YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply") from error
    if _is_deeper(values, MOST_LEVELS):
        raise ConfigError(f"{name}: is nested too deeply")
    return values


def _is_deeper(values: Any, levels: int) -> bool:
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return levels < 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.YAMLError(
                        f"key {key.value!r} stands twice, the second time in line {key.start_mark.line + 1}"
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _BARE_EXPONENT, list("-+.0123456789"))
    return Loader
