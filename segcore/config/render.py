"""Print a whole configuration as YAML that explains itself and reads back as the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segcore.config.load import KeyPath
from segcore.config.merge import DEFAULT, Origin, dotted, plain
from segcore.config.scalar import escape, render_scalar
from segcore.config.schema import Config, Section

__all__ = ["render_config"]


def render_config(config: Config, origins: Mapping[str, Origin] | None = None) -> str:
    """Write every key of `config` with its description above and its origin behind.

    `origins` are by dotted key, as `ResolvedConfig.origins` gives them; values without one are
    defaults and bear no remark. Reading the text gives the same configuration.
    """
    lines = [f"# Configuration of {escape(config.model.name)}: all settings that are in force"]
    lines += _section(config, (), origins or {})
    return "\n".join(lines) + "\n"


def _section(section: Section, path: KeyPath, origins: Mapping[str, Origin]) -> Iterator[str]:
    indent = "  " * len(path)
    for name, info in type(section).model_fields.items():
        value, at = getattr(section, name), (*path, name)
        if not path:
            yield ""
        if isinstance(value, Section):
            summary = info.description or (type(value).__doc__ or "").partition("\n")[0]
            yield f"{indent}# {summary}"
            yield f"{indent}{name}:"
            yield from _section(value, at, origins)
            continue
        yield f"{indent}# {info.description}"
        yield from _setting(name, plain(section.model_dump(include={name})[name]), at, origins)


def _setting(name: str, value: Any, at: KeyPath, origins: Mapping[str, Origin]) -> Iterator[str]:
    """Write a value on one line; components one line each, options of the model as well."""
    indent = "  " * (len(at) - 1)
    remark = _remark(at, origins)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{indent}{name}:{remark}"
        for index, item in enumerate(value):
            changed = (_remark(key, origins) for key in _inside((*at, index), item))
            yield f"{indent}  - {_flow(item)}{next(filter(None, changed), '')}"
    elif isinstance(value, dict) and value:
        yield f"{indent}{name}:{remark}"
        for key, inner in value.items():
            yield f"{indent}  {render_scalar(key)}: {_flow(inner)}{_remark((*at, key), origins)}"
    else:
        yield f"{indent}{name}: {_flow(value)}{remark}"


def _inside(path: KeyPath, item: Mapping[str, Any]) -> Iterator[KeyPath]:
    yield path
    for key in item:
        yield (*path, key)


def _remark(path: KeyPath, origins: Mapping[str, Origin]) -> str:
    origin = origins.get(dotted(path), DEFAULT)
    return "" if origin == DEFAULT else f"  # {escape(str(origin))}"


def _flow(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{render_scalar(k)}: {_flow(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return render_scalar(value)
