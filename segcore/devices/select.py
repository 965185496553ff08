"""Turn what `--device` says into devices that are really there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segcore.errors import DeviceMissingError, RequestError

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Device

__all__ = ["DeviceChoice", "select_device"]

_FORM = re.compile(r"(?P<kind>[A-Za-z][\w/-]*)(?::(?P<indices>[0-9]{1,4}(?:,[0-9]{1,4})*))?\Z")


@dataclass(frozen=True)
class DeviceChoice:
    """Devices of one kind: `kind` is the name in the catalogue, `indices` are in order of use."""

    kind: str
    indices: tuple[int, ...]
    device: Device

    @property
    def places(self) -> tuple[str, ...]:
        """The devices as `paddle.set_device` names them."""
        return tuple(self.device.place(index) for index in self.indices)

    def __str__(self) -> str:
        return ",".join(self.places)


def select_device(text: str = "auto", catalogue: Catalogue | None = None) -> DeviceChoice:
    """Find the devices that `text` names: `cpu`, `gpu`, `gpu:1`, `gpu:0,1`, `npu:0`, `auto`.

    Without a number it is the first device. `auto` takes a GPU where one computes, else the CPU,
    and is the only form that chooses. Raises RequestError for another form or the same number
    twice, UnknownNameError for an unknown kind, DeviceMissingError for a device that is not there,
    and FrameworkMissingError where the kind needs Paddle and it is not installed.
    """
    if catalogue is None:
        from segcore.discovery.catalogue import get_catalogue

        catalogue = get_catalogue()
    if text.strip().lower() == "auto":
        return _select_automatically(catalogue)
    kind, indices = parse_device(text)
    spec = catalogue.devices.find(kind).spec
    device: Device = spec.load_target()()
    reason = device.unavailable_reason()
    if reason is not None:
        raise DeviceMissingError(f"device {text!r}: {reason}")
    missing = [index for index in indices if index >= device.count()]
    if missing:
        raise DeviceMissingError(
            f"device {text!r}: there is no {spec.name}:{missing[0]}; "
            f"this machine has {spec.name}:0 to {spec.name}:{device.count() - 1}"
        )
    return DeviceChoice(spec.name, indices, device)


def parse_device(text: str) -> tuple[str, tuple[int, ...]]:
    """Split `gpu:0,1` into kind and numbers; no number is number 0. Raises RequestError."""
    match = _FORM.match(text.strip())
    if match is None:
        raise RequestError(
            f"device {text!r}: write a kind and, after a colon, numbers, such as cpu, gpu:0, "
            "gpu:0,1 or auto"
        )
    indices = tuple(int(number) for number in (match["indices"] or "0").split(","))
    if len(set(indices)) != len(indices):
        raise RequestError(f"device {text!r}: the same number stands there twice")
    return match["kind"], indices


def _select_automatically(catalogue: Catalogue) -> DeviceChoice:
    gpu: Device = catalogue.devices.find("gpu").spec.load_target()()
    if gpu.unavailable_reason() is None:
        return DeviceChoice("gpu", (0,), gpu)
    return DeviceChoice("cpu", (0,), catalogue.devices.find("cpu").spec.load_target()())
