"""Weights of a network: read them from a file, see whether they fit, put them into the network.

Three rules hold for everything here. Nothing in a file is executed. Nothing is loaded in part
unless somebody asked for it, and then the report says what was left out. Values arrive as they
were written, converted by these rules and no other:

- big-endian and Fortran-ordered arrays become native and C-ordered when they are read;
- float16, float32 and float64 become the type that the network has (an overflow is an error), and
  so do integers that fit; nothing changes between floats, integers and booleans;
- bfloat16 of a `.safetensors` file becomes float32, exactly. In a `.pdparams` file bfloat16 looks
  like uint16, so it is converted only with `uint16_is_bfloat16=True`, and otherwise refused where
  the network has floats. A network in bfloat16 takes the bits as they are;
- NaN and infinity are refused, in both directions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from segcore.checkpoint.bfloat16 import bfloat16_bits, bfloat16_to_float32
from segcore.checkpoint.files import DISK, Files, digest_file, write_atomic
from segcore.checkpoint.integrity import read_verified
from segcore.checkpoint.pdparams import Array, Limits, StateFile, decode, encode, read_bytes
from segcore.checkpoint.safetensors import decode_safetensors, encode_safetensors
from segcore.errors import DivergedError, WeightsError

__all__ = [
    "MatchReport",
    "Shape",
    "adapt_channels",
    "check_digest",
    "load_into",
    "match_weights",
    "nearest_layout",
    "read_state",
    "read_weights",
    "write_state",
    "write_weights",
]

Shape: TypeAlias = Sequence[int]
_SHOWN = 3  # names of each kind in a message


class Tensor(Protocol):
    """What `load_into` needs of a `paddle.Tensor`."""

    shape: Any
    dtype: Any

    def numpy(self) -> Array: ...

    def set_value(self, value: Array) -> None: ...


# -- files -----------------------------------------------------------------------------------------


def read_weights(
    path: Path,
    *,
    uint16_is_bfloat16: bool = False,
    sha256: str | None = None,
    limits: Limits | None = None,
) -> dict[str, Array]:
    """Read the arrays of a `.safetensors` file or of one written by `paddle.save`, by name.

    The file must have the digest `sha256`, or else the one in the manifest beside it. Raises
    WeightsError when it has not, is unreadable, unsafe, not finite or holds anything but arrays,
    IntegrityError when it is not what the manifest says, and PackageMissingError without
    safetensors where that is needed.
    """
    data = _read_checked(path, sha256, limits)
    if path.suffix.lower() == ".safetensors":
        arrays = decode_safetensors(data, str(path))
    else:
        arrays = decode(data, limits, source=str(path)).arrays()
    if uint16_is_bfloat16:
        arrays = {
            name: bfloat16_to_float32(a) if a.dtype == np.uint16 else a
            for name, a in arrays.items()
        }
    _check_finite(arrays, str(path))
    return arrays


def read_state(path: Path, *, sha256: str | None = None, limits: Limits | None = None) -> StateFile:
    """Read the tree of a `.pdopt`, `.pdema`, `.pdstates` or `.pdparams` file.

    Raises as `read_weights` does.
    """
    data = _read_checked(path, sha256, limits)
    state = decode(data, limits, source=str(path))
    _check_finite(state.tree, str(path))
    return state


def write_weights(
    path: Path,
    arrays: Mapping[str, Array],
    names: Mapping[str, str] | None = None,
    files: Files = DISK,
) -> None:
    """Write arrays by name: as safetensors where `path` ends so, else as `paddle.save` does.

    `names` are Paddle's own names of the arrays (see `pdparams.encode`); safetensors has no place
    for them. Raises DivergedError when a value is not finite, WeightsError, PackageMissingError,
    and what `write_atomic` raises when the file cannot be written.
    """
    _check_finite_to_write(arrays, path)
    if path.suffix.lower() == ".safetensors":
        write_atomic(path, encode_safetensors(arrays), files)
    else:
        write_atomic(path, encode(arrays, names), files)


def write_state(path: Path, tree: Mapping[str, Any], files: Files = DISK) -> None:
    """Write a tree of arrays, numbers and text as `paddle.save` does. Raises as `write_weights`."""
    _check_finite_to_write(tree, path)
    write_atomic(path, encode(tree), files)


def check_digest(path: Path, expected: str) -> None:
    """Raise WeightsError when the file of weights `path` has another digest, OSError unread."""
    _compare_digest(digest_file(path), expected, path)


def _read_checked(path: Path, sha256: str | None, limits: Limits | None) -> bytes:
    if sha256 is None:
        return read_verified(path, partial(read_bytes, limits=limits))
    data = read_bytes(path, limits)
    _compare_digest(hashlib.sha256(data).hexdigest(), sha256, path)
    return data


def _compare_digest(found: str, expected: str, path: Path) -> None:
    if found != expected.lower():
        raise WeightsError(
            f"{path}: its sha256 is {found}, and {expected} is expected. The file is damaged or "
            "another one; delete it and get it again."
        )


def _first_not_finite(tree: Any, path: str = "") -> tuple[str, int] | None:
    """Find the first array with NaN or infinity: its dotted name and how many values are bad."""
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind in "fc" and not np.isfinite(tree).all():
            return path, int(tree.size - np.isfinite(tree).sum())
        return None
    if isinstance(tree, Mapping):
        pairs = list(tree.items())
    elif isinstance(tree, (list, tuple)):
        pairs = list(enumerate(tree))
    else:
        return None
    for key, value in pairs:
        found = _first_not_finite(value, f"{path}.{key}" if path else str(key))
        if found:
            return found
    return None


def _check_finite(tree: Any, source: str) -> None:
    found = _first_not_finite(tree)
    if found:
        raise WeightsError(
            f"{source}: {found[0]!r:.120} has {found[1]} values that are NaN or infinite. "
            "The training that wrote it had diverged; take an earlier file."
        )


def _check_finite_to_write(tree: Any, path: Path) -> None:
    found = _first_not_finite(tree)
    if found:
        raise DivergedError(
            f"{path}: not written, because {found[0]!r:.120} has {found[1]} values that are NaN or "
            "infinite. Lower the learning rate, or resume from an earlier checkpoint."
        )


# -- fitting ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MatchReport:
    """How weights compare with what a network expects, name by name.

    `wrong_shape` maps a name to (shape found, shape expected); `missing` and `unexpected` map names
    to their shapes. `left_out` names the arrays that `load_into` was told not to load, `adapted`
    those of first layers that it brought to another number of channels.
    """

    matched: tuple[str, ...]
    missing: Mapping[str, tuple[int, ...]]
    unexpected: Mapping[str, tuple[int, ...]]
    wrong_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    left_out: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether names and shapes are exactly those that are expected."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def differs_in_classes(self) -> bool:
        """Whether all wrong shapes differ in the first axis only, between the same two numbers.

        That is what another number of classes looks like; a network of another width has many.
        """
        counts = {(found[:1], wanted[:1]) for found, wanted in self.wrong_shape.values()}
        return len(counts) == 1 and all(
            len(found) == len(wanted) >= 1 and found[1:] == wanted[1:]
            for found, wanted in self.wrong_shape.values()
        )

    def describe(self) -> str:
        """Say in one line how many arrays fit and which ones do not."""
        expected = len(self.matched) + len(self.missing) + len(self.wrong_shape)
        parts = [f"{len(self.matched)} of the {expected} arrays that the model expects match"]
        if self.missing:
            parts.append(f"{len(self.missing)} missing ({_first(self.missing)})")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unexpected ({_first(self.unexpected)})")
        if self.wrong_shape:
            shown = {k: f"{_x(a)} instead of {_x(b)}" for k, (a, b) in self.wrong_shape.items()}
            parts.append(f"{len(shown)} of another shape ({_first(shown)})")
        return ", ".join(parts)


def _x(shape: Shape) -> str:
    return "x".join(str(n) for n in shape) or "scalar"


def _first(entries: Mapping[str, Any]) -> str:
    shown = [
        f"{name} {value if isinstance(value, str) else _x(value)}"
        for name, value in list(entries.items())[:_SHOWN]
    ]
    return ", ".join([*shown, "..."] if len(entries) > _SHOWN else shown)


def match_weights(expected: Mapping[str, Shape], found: Mapping[str, Array]) -> MatchReport:
    """Compare names and shapes of arrays with the shapes that a network expects by name."""
    wanted = {name: tuple(int(n) for n in shape) for name, shape in expected.items()}
    both = [name for name in wanted if name in found]
    return MatchReport(
        matched=tuple(name for name in both if found[name].shape == wanted[name]),
        missing={name: shape for name, shape in wanted.items() if name not in found},
        unexpected={name: a.shape for name, a in found.items() if name not in wanted},
        wrong_shape={
            name: (found[name].shape, wanted[name])
            for name in both
            if found[name].shape != wanted[name]
        },
    )


def nearest_layout(
    found: Mapping[str, Array], layouts: Mapping[str, Mapping[str, Shape]]
) -> str | None:
    """Name the layout that shares most names and shapes with `found`, if it shares at least half.

    Shapes count without their first axis, so that another number of classes does not hide a model.
    """

    def keys(shapes: Mapping[str, Shape]) -> set[tuple[str, tuple[int, ...]]]:
        return {(name, tuple(shape)[1:]) for name, shape in shapes.items()}

    present = keys({name: a.shape for name, a in found.items()})
    scores = {}
    for model, layout in layouts.items():
        known = keys(layout)
        scores[model] = len(present & known) / max(1, len(present | known))
    best = max(scores, key=lambda model: scores[model], default=None)
    return best if best is not None and scores[best] >= 0.5 else None


def adapt_channels(
    expected: Mapping[str, Shape], found: Mapping[str, Array]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Bring first layers for images of three channels to the number of channels that is expected.

    A first layer is a kernel (out, 3, h, w) in `found` that is expected as (out, n, h, w). One or
    two channels each get the sum of the three kernels, divided by n; more take the kernels of red,
    green and blue in turn, each divided by how often it is taken. So the answer to an image whose
    channels are all equal stays what it was. Gives all arrays, and the names of those changed.
    """
    arrays, adapted = dict(found), []
    for name, shape in expected.items():
        kernel, wanted = found.get(name), tuple(int(n) for n in shape)
        if kernel is None or kernel.ndim != 4 or len(wanted) != 4 or kernel.dtype.kind != "f":
            continue
        n = wanted[1]
        if n == 3 or kernel.shape != (wanted[0], 3, *wanted[2:]):
            continue
        if n < 3:
            changed = np.repeat(kernel.sum(axis=1, keepdims=True, dtype=np.float64), n, axis=1) / n
        else:
            turns = np.arange(n) % 3
            changed = kernel[:, turns] / np.bincount(turns)[turns].reshape(1, n, 1, 1)
        arrays[name] = changed.astype(kernel.dtype)
        adapted.append(name)
    return arrays, tuple(adapted)


def load_into(
    state: Mapping[str, Tensor],
    weights: Mapping[str, Array],
    *,
    strict: bool = True,
    fresh: Collection[str] = (),
    any_channels: bool = False,
    uint16_is_bfloat16: bool = False,
    source: str = "weights",
    model: str = "the model",
    nearest_model: Callable[[Mapping[str, Array]], str | None] | None = None,
) -> MatchReport:
    """Put weights into a network, given as its `state_dict()`, and verify that they arrived.

    Everything is checked before the first value is set. With `strict=False` missing and unexpected
    arrays are left out. Those named in `fresh` keep the network's values, whatever the file has.
    `any_channels=True` fits first layers for RGB to images of other channels (see
    `adapt_channels`). Other shapes never pass, nor does a file of which nothing matches.
    `nearest_model` names the known model that arrays look like, for the message. Raises
    WeightsError.
    """
    shapes = {name: tuple(t.shape) for name, t in state.items() if name not in fresh}
    weights = {name: array for name, array in weights.items() if name not in fresh}
    adapted: tuple[str, ...] = ()
    if any_channels:
        weights, adapted = adapt_channels(shapes, weights)
    report = match_weights(shapes, weights)
    problem = _problem(report, strict=strict)
    if problem is not None:
        is_other_model = report.missing or report.unexpected or not report.differs_in_classes()
        guess = nearest_model(weights) if nearest_model and is_other_model else None
        looks = f" The file looks like {guess}." if guess else ""
        raise WeightsError(f"{source}: does not fit {model}: {report.describe()}.{looks} {problem}")
    values = {
        name: _convert(weights[name], state[name], f"{source}: {name!r}", uint16_is_bfloat16)
        for name in report.matched
    }
    _check_finite(
        {n: v for n, v in values.items() if "bfloat16" not in str(state[n].dtype)}, source
    )
    for name, value in values.items():
        state[name].set_value(value)
    for name, value in values.items():
        # set_value has been seen to cast and to keep quiet: what the network holds is what counts.
        if np.asarray(state[name].numpy()).tobytes() != value.tobytes():
            raise WeightsError(f"{source}: {name!r} did not arrive in {model} as it is in the file")
    left_out = (*report.missing, *report.unexpected, *(name for name in state if name in fresh))
    return replace(report, left_out=left_out, adapted=adapted)


def _problem(report: MatchReport, *, strict: bool) -> str | None:
    """Say what has to be done about a report, or None when loading may go on."""
    if not report.matched:
        return "Nothing would be loaded: give the weights of this model, or name their model."
    if report.wrong_shape and not report.differs_in_classes():
        return "Give the weights of this model, or name the model and the options they belong to."
    if strict and (report.missing or report.unexpected):
        return (
            "Give the weights of this model, or name their model; strict=False loads what matches."
        )
    if report.wrong_shape:
        found, wanted = next(iter(report.wrong_shape.values()))
        return (
            f"The file seems to be for {found[0]} classes and the model for {wanted[0]}: set "
            "data.num_classes, or start the head anew (--reset-head, train.reset_head)."
        )
    return None


def _convert(value: Array, tensor: Tensor, where: str, uint16_is_bfloat16: bool) -> Array:
    """Give `value` in the type of `tensor`, by the rules at the top of this module."""
    target = str(tensor.dtype).rsplit(".", 1)[-1]
    if target == "bfloat16":
        if value.dtype == np.uint16:
            return value
        if value.dtype.kind == "f":
            return bfloat16_bits(value)
        raise WeightsError(f"{where} is of {value.dtype}, and the model has bfloat16 there.")
    wanted = np.dtype(target)
    if value.dtype == np.uint16 and wanted.kind == "f":
        if not uint16_is_bfloat16:
            raise WeightsError(
                f"{where} is of uint16, and the model has {target} there. If the file holds "
                "bfloat16, which Paddle stores so, say uint16_is_bfloat16=True."
            )
        value = bfloat16_to_float32(value)
    alike = value.dtype.kind == wanted.kind or {value.dtype.kind, wanted.kind} <= set("iu")
    if alike:
        with np.errstate(over="ignore"):  # an overflow becomes infinity, which is refused by name
            converted = value.astype(wanted)
        if wanted.kind == "f" or np.array_equal(converted, value):
            return converted
    raise WeightsError(
        f"{where} is of {value.dtype} and the model has {target} there, which would change its "
        "values. Give the weights of this model."
    )
