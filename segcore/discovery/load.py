"""Import plugins one by one, verify them, and keep what goes wrong with one to that one.

A plugin that exits, raises, or answers nonsense is left out as a whole and costs one line. What
cannot be contained inside the process: `os._exit` and an endless loop at import. `segcore plugins
check` runs a plugin in a child process with a time limit and does contain those; `--no-plugin`
switches such a plugin off.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from segcore import specs
from segcore.discovery.find import FoundPlugin, incompatibility
from segcore.discovery.names import one_line
from segcore.discovery.verify import Fault, arguments_of, collect_specs, describe, verified_hooks

__all__ = [
    "Plugin",
    "Status",
    "arguments_of",
    "disable",
    "load_plugin",
]

Status = Literal["ok", "disabled", "incompatible", "broken"]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin as the catalogue knows it, usable or not.

    `reason` says why one that is not "ok" was left out, and what to do. `import_s` is the time of
    its import in seconds, `output` what it printed meanwhile. `build_model` is its implementation
    of the hook of that name.
    """

    found: FoundPlugin
    status: Status
    reason: str | None = None
    import_s: float | None = None
    output: str = ""
    hooks: tuple[str, ...] = ()
    specs: tuple[specs.Spec, ...] = ()
    build_model: Callable[..., Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.found.name

    @property
    def distribution(self) -> str:
        """Name of the distribution that brought it."""
        return self.found.distribution

    @property
    def version(self) -> str:
        """Version of the distribution."""
        return self.found.version

    def problem(self) -> str | None:
        """Say in one line what is wrong and what to do; None for one that works or is off."""
        if self.status in ("ok", "disabled"):
            return None
        return f"{self.found.label} is left out: {self.reason}"


def disable(found: FoundPlugin) -> Plugin:
    """Give the record of a plugin that the user switched off."""
    return Plugin(
        found=found, status="disabled", reason="switched off by --no-plugin or the environment"
    )


def load_plugin(found: FoundPlugin, core_version: str) -> Plugin:
    """Import and verify a plugin; whatever it does, a record of it comes back.

    Raises KeyboardInterrupt and nothing else.
    """
    if found.problem is not None:
        return Plugin(found=found, status="broken", reason=one_line(found.problem))
    unfit = incompatibility(found, core_version)
    if unfit is not None:
        return Plugin(found=found, status="incompatible", reason=one_line(unfit))
    plugin = Plugin(found=found, status="ok")
    printed = io.StringIO()
    began = time.perf_counter()
    try:
        # stdout belongs to the command that runs; `--json` must stay JSON
        with contextlib.redirect_stdout(printed):
            implementation = _import(found)
            plugin = replace(plugin, import_s=time.perf_counter() - began)
            functions = verified_hooks(implementation)
            plugin = replace(
                plugin,
                hooks=tuple(sorted(functions)),
                specs=collect_specs(functions),
                build_model=functions.get("segcore_build_model"),
            )
    except KeyboardInterrupt:
        hint = f"while {found.label} was loading; --no-plugin {found.name} leaves it out"
        raise KeyboardInterrupt(hint) from None
    except Fault as fault:
        plugin = replace(plugin, status="broken", reason=one_line(fault))
    # an object with hostile properties gets this far: the plugin boundary
    except BaseException as error:  # noqa: BLE001
        plugin = replace(plugin, status="broken", reason=f"it raised {describe(error)}")
    return replace(plugin, output=printed.getvalue()[:10_000])


def _import(found: FoundPlugin) -> Any:
    module, _, path = found.value.partition(":")
    try:
        implementation: Any = import_module(module)
        for attribute in path.split(".") if path else ():
            implementation = getattr(implementation, attribute)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or "?"
        if module == missing or module.startswith(f"{missing}."):
            raise Fault(
                f"its module {missing!r} is not there; run: "
                f"pip install --force-reinstall {found.distribution}"
            ) from error
        raise Fault(
            f"it needs the module {missing!r}, which is not installed; {_way_out(found)}"
        ) from error
    # the plugin boundary: a stranger's module may raise anything, and sys.exit() is an exception
    except BaseException as error:
        raise Fault(f"importing it raised {describe(error)}; {_way_out(found)}") from error
    return implementation


def _way_out(found: FoundPlugin) -> str:
    return (
        f"run: pip install --upgrade {found.distribution}, "
        f"or switch it off: --no-plugin {found.name}"
    )
