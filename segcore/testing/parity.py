"""Compare a network with numbers taken from a reference implementation of it.

Three questions: are the names, shapes and order of the parameters the same (then published weights
load), does eval mode compute the same logits, does training give the same losses, gradients and
running statistics. No trained weights are needed: `fill_network` gives every tensor values that
hang on its name alone, on both sides.

A reference is three files in a folder: `NAME.layout.json.gz` with `entries` [key, shape, dtype] and
`fill_scale`, `NAME.npz` with logits, and `NAME.json` with `num_classes`, `tolerance` and
`training`. Where the logits of a network are not known, there is no `NAME.npz`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from segcore.errors import CheckFailed

__all__ = [
    "Reference",
    "check_layout",
    "check_outputs",
    "check_training",
    "fill_network",
    "fill_values",
    "reference_image",
    "reference_labels",
]

INPUT_SIZES = {"a": (128, 256), "b": (97, 161)}
"""Height and width of the two images that eval mode is compared on."""

_POSITIONS = ("pos_embed", "relative_position_bias_table")


@dataclass(frozen=True)
class Reference:
    """What is known of a network: see the module's docstring.

    `tolerance` has `rel_l2`, `max_abs` and `argmax_disagreement`; `training` one mapping a case.
    """

    name: str
    entries: Sequence[tuple[str, list[int], str]]
    fill_scale: Mapping[str, float]
    outputs: Mapping[str, np.ndarray]
    num_classes: int
    tolerance: Mapping[str, float]
    training: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path, name: str) -> Reference:
        """Read the files of `name` in `folder`."""
        layout = json.loads(gzip.decompress((folder / f"{name}.layout.json.gz").read_bytes()))
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        outputs: dict[str, np.ndarray] = {}
        if (folder / f"{name}.npz").exists():
            with np.load(folder / f"{name}.npz") as arrays:
                outputs.update(arrays)
        return cls(
            name,
            [(key, list(shape), dtype) for key, shape, dtype in layout["entries"]],
            layout["fill_scale"],
            outputs,
            record["num_classes"],
            record["tolerance"],
            record["training"],
        )


def fill_values(key: str, shape: Sequence[int], scale: float = 1.0) -> np.ndarray:
    """Give the float32 values that the tensor `key` is filled with; `scale` is for batch norms.

    Kernels have He's variance and, but for depthwise ones, no mean, so that activations keep unit
    scale through deep networks.
    """
    generator = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    values: np.ndarray = generator.standard_normal(tuple(shape))
    last, axes = key.rpartition(".")[2], len(shape)
    if last == "_mean":
        values = 0.1 * np.sqrt(scale) * values
    elif last == "_variance":
        values = scale * np.exp(0.2 * values)
    elif last in _POSITIONS:
        values = 0.5 * values
    elif axes <= 1:
        values = 0.1 * values if last == "bias" else 1.0 + 0.1 * values
    else:
        inputs = (0,) if axes == 2 else tuple(range(1, axes))
        if shape[0 if axes == 2 else 1] > 1:
            values = values - values.mean(axis=inputs, keepdims=True)
        values = values * np.sqrt(2.0 / np.prod([shape[axis] for axis in inputs]))
    return values.astype(np.float32)


def fill_network(network: nn.Layer, fill_scale: Mapping[str, float]) -> None:
    """Fill every floating-point tensor of the state dict by its name.

    `fill_scale` gives the variance that a batch norm's input has, by the norm's prefix. Where two
    names share a tensor the later one wins.
    """
    for key, tensor in network.state_dict().items():
        if "float" not in str(tensor.dtype):
            continue  # integer buffers stay as built
        prefix, _, last = key.rpartition(".")
        is_statistic = last in ("_mean", "_variance")
        scale = fill_scale.get(prefix, 1.0) if is_statistic else 1.0
        values = fill_values(key, tensor.shape, scale)
        if key in fill_scale:
            values = values * np.float32(fill_scale[key])
        tensor.set_value(values)


def reference_image(height: int, width: int, *, batch: int = 1, seed: int = 0) -> np.ndarray:
    """Draw images (N, 3, H, W), float32 in -1..1: coarse blocks under noise."""
    generator = np.random.RandomState(1000003 * seed + 1009 * height + width)
    coarse = generator.uniform(-1, 1, (batch, 3, -(-height // 16), -(-width // 16)))
    blocks = np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)[:, :, :height, :width]
    noise = generator.uniform(-1, 1, (batch, 3, height, width))
    image: np.ndarray = (0.7 * blocks + 0.3 * noise).astype(np.float32)
    return image


def reference_labels(
    height: int, width: int, num_classes: int, *, batch: int = 1, seed: int = 0, ignore: int = 255
) -> np.ndarray:
    """Draw labels (N, H, W), int64: blocks of classes, 5 % of the pixels ignored."""
    seed = 7000003 + 1000003 * seed + 1009 * height + width
    generator = np.random.RandomState(seed)
    coarse = generator.randint(0, num_classes, (batch, -(-height // 8), -(-width // 8)))
    blocks = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)[:, :height, :width]
    labels: np.ndarray = blocks.astype(np.int64)
    labels[generator.uniform(size=labels.shape) < 0.05] = ignore
    return labels


def check_layout(network: nn.Layer, reference: Reference) -> None:
    """Compare keys, shapes, dtypes and order of the state dict. Raises CheckFailed."""
    found = [
        (key, list(tensor.shape), str(tensor.dtype).rpartition(".")[2])
        for key, tensor in network.state_dict().items()
    ]
    expected = [(key, shape, dtype.rpartition(".")[2]) for key, shape, dtype in reference.entries]
    if found == expected:
        return
    keys, wanted = {entry[0] for entry in found}, {entry[0] for entry in expected}
    if keys != wanted:
        raise CheckFailed(
            f"{reference.name}: missing keys {sorted(wanted - keys)[:5]}, "
            f"unexpected keys {sorted(keys - wanted)[:5]}"
        )
    position, (have, want) = next(
        (position, pair)
        for position, pair in enumerate(zip(found, expected, strict=True))
        if pair[0] != pair[1]
    )
    raise CheckFailed(f"{reference.name}: entry {position} is {have}, reference {want}")


def check_outputs(network: nn.Layer, reference: Reference) -> dict[str, float]:
    """Fill the network and compare its eval-mode logits; give the distances.

    Distances are relative L2 and largest difference of subsampled logits, and the share of pixels
    of another class. Raises CheckFailed when one is beyond the reference's tolerance, or when the
    reference knows no logits.
    """
    if not reference.outputs:
        raise CheckFailed(f"{reference.name}: the reference has no logits to compare with")
    fill_network(network, reference.fill_scale)
    network.eval()
    distances: dict[str, float] = {}
    for name, size in INPUT_SIZES.items():
        if f"{name}_logits" not in reference.outputs:
            continue
        with paddle.no_grad():
            outputs = network(paddle.to_tensor(reference_image(*size)))
        first = outputs[0] if isinstance(outputs, list | tuple) else outputs
        for measure, value in _distances(first.numpy(), reference.outputs, name).items():
            distances[f"{name}_{measure}"] = value
            if not value <= reference.tolerance[measure]:
                raise CheckFailed(
                    f"{reference.name}: input {name}: {measure} is {value:.2e}, beyond "
                    f"{reference.tolerance[measure]:.2e}"
                )
    return distances


def _distances(logits: np.ndarray, stored: Mapping[str, np.ndarray], name: str) -> dict[str, float]:
    step = 16 if logits.shape[1] >= 100 else 8
    sample, expected = logits[:, :, ::step, ::step], stored[f"{name}_logits"]
    if sample.shape != expected.shape:
        raise CheckFailed(f"input {name}: logits {sample.shape}, reference {expected.shape}")
    # less its mean, no channel dominates, so that nearly all classes appear somewhere
    centred = logits - logits.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    disagreement = [
        (scores.argmax(axis=1).ravel() != stored[f"{name}_{key}"].ravel()).mean()
        for scores, key in ((logits, "argmax"), (centred, "argmax_centred"))
    ]
    return {
        "rel_l2": float(np.linalg.norm(sample - expected) / np.linalg.norm(expected)),
        "max_abs": float(np.abs(sample - expected).max()),
        "argmax_disagreement": float(max(disagreement)),
    }


def check_training(
    network: nn.Layer,
    reference: Reference,
    case: str,
    losses: Callable[[Any, Any], Sequence[Any]],
    *,
    loss_bound: float = 2e-5,
    gradient_bound: float = 1e-3,
    parameter_bound: float = 3e-2,
) -> None:
    """Fill the network, run one training step without an update and compare what it leaves behind.

    `losses(outputs, labels)` gives the weighted terms. The bounds are relative: of each term, of
    the global gradient norm, of the norms of single gradients. Dropout layers must be off: those of
    Paddle are set to 0 here. Raises CheckFailed.
    """
    expected = reference.training[case]
    fill_network(network, reference.fill_scale)
    network.train()
    for layer in network.sublayers():
        if isinstance(layer, nn.Dropout | nn.Dropout2D):
            layer.p = 0.0
    labels = reference_labels(128, 256, reference.num_classes, batch=2, seed=3)
    images = paddle.to_tensor(reference_image(128, 256, batch=2, seed=3))
    terms = losses(network(images), paddle.to_tensor(labels))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    network.clear_gradients()
    total.backward()
    norms = {
        key: float(np.linalg.norm(parameter.grad.numpy().astype(np.float64)))
        for key, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    compare = _Comparison(f"{reference.name}: {case}")
    compare("loss", [float(term) for term in terms], expected["losses"], loss_bound)
    norm = float(np.linalg.norm(list(norms.values())))
    compare("gradient norm", [norm], [expected["grad_norm"]], gradient_bound)
    for key, value in expected["grad_norms"].items():
        compare(f"gradient of {key}", [norms[key]], [value], parameter_bound)
    state = network.state_dict()
    for key, values in expected["bn_after"].items():
        # means may be near 0, where a relative distance says nothing
        compare(key, state[key].numpy().ravel()[: len(values)], values, loss_bound, floor=0.1)


@dataclass(frozen=True)
class _Comparison:
    """Compare numbers relative to the reference's; `where` begins the messages."""

    where: str

    def __call__(
        self,
        what: str,
        found: Sequence[float] | np.ndarray,
        expected: Sequence[float],
        bound: float,
        *,
        floor: float = 0.0,
    ) -> None:
        """Raise CheckFailed where a value is off by more than `bound` of it, or of `floor`."""
        for value, wanted in zip(found, expected, strict=True):
            distance = abs(value - wanted) / max(abs(wanted), floor)
            if not distance <= bound:
                raise CheckFailed(
                    f"{self.where}: {what} is {value:.8g}, reference {wanted:.8g} "
                    f"(relative {distance:.1e}, allowed {bound:.1e})"
                )
