"""Compare a network with numbers taken from a reference implementation of it.

Three questions: are the names, shapes and order of the parameters the same (then published weights
load), does eval mode compute the same logits, does training give the same losses, gradients and
running statistics. No trained weights are needed: `fill_network` gives every tensor values that
hang on its name alone, on both sides.

A reference is three files in a folder: `NAME.layout.json.gz` with `entries` [key, shape, dtype] and
`fill_scale`, `NAME.npz` with logits, and `NAME.json` with `num_classes` and `training`. Where the
logits of a network are not known, there is no `NAME.npz`.

Numbers are compared in double precision, in which every processor, library and number of threads
gives the same. What is left is the rounding of the reference, which was computed in float32. How
far that can move each quantity is measured, not guessed: `Agreement.sensitivity` errs at random in
weights and in the inputs of all layers as float32 does. `tolerances.json` in the folder of the
reference holds ten times that for each quantity. To write it, run the tests once with
`monkeypatch.setattr(Agreement, "check", Agreement.write_tolerances)`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from segcore.checkpoint.files import write_atomic
from segcore.errors import CheckFailed

__all__ = [
    "Agreement",
    "Reference",
    "check_layout",
    "check_outputs",
    "check_training",
    "double_precision",
    "fill_network",
    "fill_values",
    "gradient_norms",
    "kept_state",
    "reference_image",
    "reference_labels",
    "relative_distances",
]

INPUT_SIZES = {"a": (128, 256), "b": (97, 161)}
"""Height and width of the two images that eval mode is compared on."""

TOLERANCES = "tolerances.json"
"""The file beside the references that holds, for each agreement, the tolerance of each quantity."""

_MARGIN = 10
"""How many times the measured movement by rounding a distance may have."""

_FLOAT32_ROUNDING = 2.0**-23
"""The relative error that is typical of a number which float32 computed as a sum of products."""

_POSITIONS = ("pos_embed", "relative_position_bias_table")


@dataclass(frozen=True)
class Reference:
    """What is known of a network: see the module's docstring. `training` has one mapping a case."""

    folder: Path
    name: str
    entries: Sequence[tuple[str, list[int], str]]
    fill_scale: Mapping[str, float]
    outputs: Mapping[str, np.ndarray]
    num_classes: int
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
            folder,
            name,
            [(key, list(shape), dtype) for key, shape, dtype in layout["entries"]],
            layout["fill_scale"],
            outputs,
            record["num_classes"],
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
        tensor.set_value(values.astype(_dtype(tensor)))


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


@dataclass(frozen=True)
class Agreement:
    """Quantities of a network, and what a reference gives for them.

    `run` computes them, an array a name, when the network was filled; it gets the network, and
    makes its inputs of the dtype that is Paddle's default then. Numbers are compared by relative
    L2, what was decided (arrays of integers and bools) by the share that differs. Where
    `has_choices`, float32 may choose otherwise where two numbers are nearly equal, so that only the
    run in double precision is compared; else the network's own float32 must agree as well.
    """

    name: str
    network: nn.Layer
    fill_scale: Mapping[str, float]
    run: Callable[[nn.Layer], Mapping[str, Any]]
    expected: Mapping[str, Any]
    folder: Path
    has_choices: bool = False

    def check(self) -> dict[str, float]:
        """Return the distance of each quantity. Raise CheckFailed where one is beyond tolerance."""
        tolerances = self.tolerances()
        fill_network(self.network, self.fill_scale)
        with double_precision(self.network):
            found = self.compute()
        distances = relative_distances(found, self.expected)
        self._judge("", distances, tolerances)
        if not self.has_choices:
            single = relative_distances(self.compute(), found)
            self._judge(" in float32", single, tolerances)
        return distances

    def tolerances(self) -> Mapping[str, float]:
        """Read the tolerance of each quantity. Raise CheckFailed where none were measured."""
        known = self._known()
        if self.name not in known:
            raise CheckFailed(
                f"{self.folder / TOLERANCES} has no tolerances of {self.name!r}: measure them "
                "once with Agreement.write_tolerances"
            )
        return known[self.name]

    def write_tolerances(self, draws: int = 4) -> dict[str, float]:
        """Measure the tolerance of each quantity and write it; return the distances like `check`.

        For one process at a time: the file has the tolerances of all agreements of its folder.
        """
        known = self._known()
        known[self.name] = {
            name: float(f"{_MARGIN * moved:.2g}") for name, moved in self.sensitivity(draws).items()
        }
        text = json.dumps(dict(sorted(known.items())), indent=1)
        write_atomic(self.folder / TOLERANCES, (text + "\n").encode())
        with double_precision(self.network):
            return relative_distances(self.compute(), self.expected)

    def _known(self) -> dict[str, dict[str, float]]:
        """Read the tolerances of all agreements of the folder."""
        path = self.folder / TOLERANCES
        known: dict[str, dict[str, float]] = {}
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
        return known

    def compute(self) -> dict[str, np.ndarray]:
        """Compute the quantities with the network as it is."""
        return {name: np.asarray(value) for name, value in self.run(self.network).items()}

    def sensitivity(self, draws: int) -> dict[str, float]:
        """Return how far rounding moves each quantity: the root mean square of `draws` distances.

        Numbers move by what sums in float32 are off at least, and of many decisions one at least.
        """
        fill_network(self.network, self.fill_scale)
        with double_precision(self.network):
            with kept_state(self.network):
                exact = self.compute()
            moved = []
            for draw in range(draws):
                generator = np.random.default_rng(draw)
                with kept_state(self.network), _rounding(self.network, generator):
                    moved.append(relative_distances(self.compute(), exact))
        found = {}
        for name, value in exact.items():
            least = 8 * _FLOAT32_ROUNDING  # of sums over all pixels
            if not _is_number(value):
                least = 1 / value.size if value.size >= 1000 else 0.0
            mean = float(np.sqrt(np.mean([distances[name] ** 2 for distances in moved])))
            found[name] = max(mean, least)
        return found

    def _judge(
        self, how: str, distances: Mapping[str, float], tolerances: Mapping[str, float]
    ) -> None:
        for name, distance in distances.items():
            if not distance <= tolerances.get(name, 0.0):
                raise CheckFailed(
                    f"{self.name}{how}: {name} is off by {distance:.1e} of the reference, "
                    f"allowed {tolerances.get(name, 0.0):.1e}"
                )


def relative_distances(found: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, float]:
    """Return relative L2 of numbers, and the share that differs of integers and bools.

    Raise CheckFailed where a quantity is missing or has another shape.
    """
    distances = {}
    for name, wanted in expected.items():
        have, want = np.asarray(found.get(name)), np.asarray(wanted)
        if name not in found or have.shape != want.shape:
            raise CheckFailed(
                f"{name} has the shape {have.shape}, that of the reference {want.shape}"
            )
        if _is_number(want):
            have, want = have.astype(np.float64), want.astype(np.float64)
            length = np.linalg.norm(want)
            distances[name] = float(np.linalg.norm(have - want) / (length if length else 1.0))
        else:
            distances[name] = float((have != want).mean())
    return distances


def check_outputs(network: nn.Layer, reference: Reference) -> dict[str, float]:
    """Compare eval-mode logits of two images, and the class of each pixel; return the distances.

    Raise CheckFailed when one is beyond tolerance, or when the reference knows no logits.
    """
    if not reference.outputs:
        raise CheckFailed(f"{reference.name}: the reference has no logits to compare with")

    def run(network: nn.Layer) -> dict[str, Any]:
        network.eval()
        found: dict[str, Any] = {}
        for name, size in INPUT_SIZES.items():
            if f"{name}_logits" in reference.outputs:
                images = paddle.to_tensor(reference_image(*size), paddle.get_default_dtype())
                with paddle.no_grad():
                    outputs = network(images)
                first = outputs[0] if isinstance(outputs, list | tuple) else outputs
                found.update(_sampled(first.numpy(), name))
        return found

    names = [f"{name}_{kind}" for name in INPUT_SIZES for kind in _KINDS]
    expected = {name: reference.outputs[name] for name in names if name in reference.outputs}
    name = f"{reference.name}: logits"
    return Agreement(name, network, reference.fill_scale, run, expected, reference.folder).check()


_KINDS = ("logits", "argmax", "argmax_centred")


def _sampled(logits: np.ndarray, name: str) -> dict[str, np.ndarray]:
    step = 16 if logits.shape[1] >= 100 else 8
    # less its mean, no channel dominates, so that nearly all classes appear somewhere
    centred = logits - logits.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    return {
        f"{name}_logits": logits[:, :, ::step, ::step],
        f"{name}_argmax": logits.argmax(axis=1)[0],
        f"{name}_argmax_centred": centred.argmax(axis=1)[0],
    }


def check_training(
    network: nn.Layer,
    reference: Reference,
    case: str,
    losses: Callable[[Any, Any], Sequence[Any]],
) -> dict[str, float]:
    """Run one training step without an update and compare what it leaves behind.

    `losses(outputs, labels)` gives the weighted terms. Compared are the terms, the norms of all
    gradients and of single ones, and running statistics. Dropout layers must be off: those of
    Paddle are set to 0 here. Return the distances; raise CheckFailed.
    """
    known = reference.training[case]

    def run(network: nn.Layer) -> dict[str, Any]:
        network.train()
        for layer in network.sublayers():
            if isinstance(layer, nn.Dropout | nn.Dropout2D):
                layer.p = 0.0
        labels = reference_labels(128, 256, reference.num_classes, batch=2, seed=3)
        images = reference_image(128, 256, batch=2, seed=3)
        outputs = network(paddle.to_tensor(images, paddle.get_default_dtype()))
        terms = losses(outputs, paddle.to_tensor(labels))
        norms = gradient_norms(network, sum(terms[1:], terms[0]))
        state = network.state_dict()
        return {
            **{f"loss {index}": float(term) for index, term in enumerate(terms)},
            "gradient": np.linalg.norm(list(norms.values())),
            **{f"gradient of {key}": norms[key] for key in known["grad_norms"]},
            **{
                key: state[key].numpy().ravel()[: len(values)]
                for key, values in known["bn_after"].items()
            },
        }

    expected = {
        **{f"loss {index}": value for index, value in enumerate(known["losses"])},
        "gradient": known["grad_norm"],
        **{f"gradient of {key}": value for key, value in known["grad_norms"].items()},
        **known["bn_after"],
    }
    name = f"{reference.name}: {case}"
    return Agreement(
        name, network, reference.fill_scale, run, expected, reference.folder, has_choices=True
    ).check()


def gradient_norms(network: nn.Layer, loss: Any) -> dict[str, float]:
    """Return the L2 norm of the gradient of each parameter that has one, by name."""
    network.clear_gradients()
    loss.backward()
    norms = {
        key: float(np.linalg.norm(parameter.grad.numpy().astype(np.float64)))
        for key, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    network.clear_gradients()
    return norms


@contextmanager
def double_precision(network: nn.Layer) -> Iterator[None]:
    """Have the network, and what Paddle makes without a dtype, in float64; afterwards in float32.

    Weights that float32 can express come back as they were.
    """
    default = paddle.get_default_dtype()
    _convert(network, np.float64)
    paddle.set_default_dtype("float64")
    try:
        yield
    finally:
        paddle.set_default_dtype(default)
        _convert(network, np.float32)


def _convert(network: nn.Layer, dtype: type[np.floating]) -> None:
    for tensor in (*network.parameters(), *network.buffers()):
        if "float" in str(tensor.dtype):
            # in place, so that whoever holds the tensor sees it
            tensor.get_tensor().set(tensor.numpy().astype(dtype), paddle.CPUPlace())


@contextmanager
def kept_state(network: nn.Layer) -> Iterator[None]:
    """Give the state dict its values back afterwards."""
    kept = {key: tensor.numpy().copy() for key, tensor in network.state_dict().items()}
    try:
        yield
    finally:
        for key, tensor in network.state_dict().items():
            tensor.set_value(kept[key])


@contextmanager
def _rounding(network: nn.Layer, generator: np.random.Generator) -> Iterator[None]:
    """Let weights, and the inputs of layers that have no layers within, be off as float32 is."""

    def rounded(value: Any) -> Any:
        if not isinstance(value, paddle.Tensor) or "float" not in str(value.dtype):
            return value
        errors = generator.standard_normal(value.shape, np.float32) * _FLOAT32_ROUNDING
        return value * (1.0 + paddle.to_tensor(errors, value.dtype))

    for tensor in network.state_dict().values():
        if "float" in str(tensor.dtype):
            tensor.set_value(rounded(tensor.detach()))
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: tuple(map(rounded, inputs)))
        for layer in network.sublayers()
        if not layer.sublayers()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).rpartition(".")[2]


def _is_number(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.floating))
