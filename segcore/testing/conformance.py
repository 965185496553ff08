"""Check that a model behaves as segcore expects of any; for authors of plugins.

With pytest, one test a check:

    @pytest.mark.parametrize("check", conformance_checks(Subject("My-Net")), ids=str)
    def test_my_net_conforms(check):
        check()

Without, `run_checks(Subject("My-Net"))` gives a report. Both say how many checks there are, so that
a kit that silently shrank is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from typing import Any

import numpy as np
import paddle
from paddle import nn

from segcore.devices.framework import home_for_caches
from segcore.errors import CheckFailed
from segcore.nn.build import build_model

__all__ = ["Check", "Report", "Subject", "conformance_checks", "require", "run_checks"]


@dataclass(frozen=True)
class Subject:
    """A model to check, and what is particular about it.

    `outputs` counts the outputs in training. Sizes (H, W) are rounded up to multiples of the
    network's `size_divisor`, if it has one. `without_gradient` lists patterns of parameter names
    that training need not reach. `tolerance` bounds how far an image's logits may hang on its
    batch, relative to the largest logit. `loss(outputs, labels)` is for a network whose outputs in
    training are no logits: it reduces them, as they are, against labels (N, H, W).
    `learning_rate` is what one batch is to be learnt with.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 3
    in_channels: int = 3
    outputs: int | None = None
    sizes: tuple[tuple[int, int], ...] = ((64, 64), (65, 97), (33, 130))
    without_gradient: tuple[str, ...] = ()
    tolerance: float = 1e-4
    loss: Callable[[Any, Any], Any] | None = None
    learning_rate: float = 1e-3

    def build(self, num_classes: int | None = None, seed: int = 0) -> nn.Layer:
        """Build the model with weights drawn from `seed`."""
        paddle.seed(seed)
        count = self.num_classes if num_classes is None else num_classes
        return build_model(self.model, num_classes=count, **self.options)

    def images(self, size: tuple[int, int], batch: int = 2) -> Any:
        """Draw images (N, in_channels, H, W) in -1..1."""
        generator = np.random.default_rng(0)
        shape = (batch, self.in_channels, *size)
        return paddle.to_tensor(generator.uniform(-1, 1, shape).astype(np.float32))

    def labels(self, size: tuple[int, int], batch: int = 2) -> Any:
        """Draw labels (N, H, W): vertical stripes, so that there is something to learn."""
        stripes = np.arange(size[1]) * self.num_classes // size[1]
        return paddle.to_tensor(np.broadcast_to(stripes, (batch, *size)).astype(np.int64))


@dataclass(frozen=True)
class Check:
    """A named check, ready to run; it raises CheckFailed where the model does not conform."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        self.run()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Report:
    """What came out: problems by the name of the check, None where there was none."""

    results: Mapping[str, str | None]

    @property
    def count(self) -> int:
        """How many checks ran."""
        return len(self.results)

    @property
    def problems(self) -> list[str]:
        """What is wrong, one line a check."""
        return [f"{name}: {problem}" for name, problem in self.results.items() if problem]


def conformance_checks(subject: Subject) -> list[Check]:
    """List the checks of `subject`, none of them run yet."""
    return [Check(name, partial(function, subject)) for name, function in _CHECKS.items()]


def run_checks(subject: Subject) -> Report:
    """Run all checks of `subject`. A check that itself breaks counts as a problem, too."""
    return Report({check.name: _problem(check) for check in conformance_checks(subject)})


def _problem(check: Check) -> str | None:
    try:
        check()
    # the plugin boundary: a network is a stranger's code and may raise anything
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return None


def _has_as_many_channels_as_classes(subject: Subject) -> None:
    for count in (2, 7):
        network = subject.build(count)
        channels = int(_logits(network, subject.images(_sizes(subject, network)[0])).shape[1])
        require(channels == count, f"num_classes={count} gives {channels} channels of logits")


def _gives_logits_in_the_size_of_the_images(subject: Subject) -> None:
    network = subject.build()
    for size in _sizes(subject, network):
        logits = _logits(network, subject.images(size))
        expected = [2, subject.num_classes, *size]
        require(
            list(logits.shape) == expected,
            f"images of {size} (H, W) give {list(logits.shape)}, not {expected}",
        )
        require(logits.dtype == paddle.float32, f"logits are {logits.dtype}, not float32")


def _gives_the_declared_number_of_outputs_in_training(subject: Subject) -> None:
    network = subject.build()
    size = _sizes(subject, network)[0]
    outputs = _outputs(network(subject.images(size)))
    if subject.outputs is not None:
        require(
            len(outputs) == subject.outputs,
            f"{len(outputs)} outputs in training, not {subject.outputs}",
        )
    if subject.loss is not None:
        return
    for index, output in enumerate(outputs):
        require(
            list(output.shape) == [2, subject.num_classes, *size],
            f"output {index} has shape {list(output.shape)} for images of {size}",
        )


def _treats_each_image_by_itself(subject: Subject) -> None:
    network = subject.build()
    images = subject.images(_sizes(subject, network)[-1], batch=3)
    together = _logits(network, images).numpy()
    alone = np.concatenate([_logits(network, images[i : i + 1]).numpy() for i in range(3)])
    distance = float(np.abs(together - alone).max() / np.abs(alone).max())
    require(
        distance <= subject.tolerance,
        f"logits of an image move by {distance:.1e} of their size with what else is in the batch",
    )


def _repeats_itself(subject: Subject) -> None:
    network = subject.build()
    images = subject.images(_sizes(subject, network)[0])
    first, second = (_logits(network, images).numpy().tobytes() for _ in range(2))
    require(first == second, "two runs in eval mode differ: is dropout still on?")


def _starts_from_the_seed(subject: Subject) -> None:
    first, second = _state(subject.build(seed=5)), _state(subject.build(seed=5))
    differing = [key for key in first if first[key].tobytes() != second[key].tobytes()]
    require(not differing, f"one seed, different weights: {differing[:3]}")


def _stays_the_same_in_eval_mode(subject: Subject) -> None:
    network = subject.build()
    before = _state(network)
    _logits(network, subject.images(_sizes(subject, network)[0]))
    moved = [key for key, value in _state(network).items() if (value != before[key]).any()]
    require(not moved, f"predicting changes the state: {moved[:3]}")


def _comes_back_from_its_state_dict(subject: Subject) -> None:
    network, other = subject.build(seed=1), subject.build(seed=2)
    images = subject.images(_sizes(subject, network)[0])
    network(images)  # in training mode, so that the running statistics move
    missing, unexpected = other.set_state_dict(_state(network))
    require(not missing and not unexpected, f"missing {missing[:3]}, unexpected {unexpected[:3]}")
    same = _logits(network, images).numpy().tobytes() == _logits(other, images).numpy().tobytes()
    require(same, "a copy by state dict gives other logits: something is kept outside of it")


def _traces_to_a_graph_for_any_size(subject: Subject) -> None:
    network = subject.build()
    sizes = _sizes(subject, network)
    expected = [_logits(network, subject.images(size)).numpy() for size in sizes]
    spec = paddle.static.InputSpec([None, subject.in_channels, None, None], "float32", "x")
    graph = paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
    with home_for_caches():  # tracing happens at the first run
        found = [_logits(graph, subject.images(size)).numpy() for size in sizes]
    for size, logits, traced in zip(sizes, expected, found, strict=True):
        distance = np.abs(traced - logits).max()
        require(
            bool(distance <= subject.tolerance * np.abs(logits).max()),
            f"the traced graph is off by {distance:.1e} for images of {size}: does the code read "
            f"sizes as numbers? Use segcore.nn.resize.spatial_size",
        )


def _reaches_every_parameter_with_a_gradient(subject: Subject) -> None:
    network = subject.build()
    _step(subject, network)
    missed = [
        key
        for key, parameter in network.named_parameters()
        if not parameter.stop_gradient
        and parameter.grad is None
        and not any(fnmatch(key, pattern) for pattern in subject.without_gradient)
    ]
    require(
        not missed,
        f"{len(missed)} parameters get no gradient: {missed[:3]}; remove them, freeze them "
        f"(stop_gradient), or declare them in without_gradient",
    )


def _has_finite_gradients(subject: Subject) -> None:
    network = subject.build()
    loss = _step(subject, network)
    require(bool(np.isfinite(loss)), f"the first loss is {loss}")
    broken = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is not None and not np.isfinite(parameter.grad.numpy()).all()
    ]
    require(not broken, f"gradients that are not finite: {broken[:3]}")


def _learns_one_batch(subject: Subject) -> None:
    network = subject.build()
    trainable = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    optimizer = paddle.optimizer.Adam(subject.learning_rate, parameters=trainable)
    losses = []
    for _ in range(8):
        losses.append(_step(subject, network))
        optimizer.step()
        optimizer.clear_grad()
    require(
        losses[-1] < losses[0],
        f"eight steps on one batch move the loss from {losses[0]:.3f} to {losses[-1]:.3f}",
    )


_CHECKS: dict[str, Callable[[Subject], None]] = {
    function.__name__.lstrip("_"): function
    for function in (
        _has_as_many_channels_as_classes,
        _gives_logits_in_the_size_of_the_images,
        _gives_the_declared_number_of_outputs_in_training,
        _treats_each_image_by_itself,
        _repeats_itself,
        _starts_from_the_seed,
        _stays_the_same_in_eval_mode,
        _comes_back_from_its_state_dict,
        _traces_to_a_graph_for_any_size,
        _reaches_every_parameter_with_a_gradient,
        _has_finite_gradients,
        _learns_one_batch,
    )
}


def require(holds: bool, problem: str) -> None:
    """Raise CheckFailed with `problem` unless it holds."""
    if not holds:
        raise CheckFailed(problem)


def _sizes(subject: Subject, network: nn.Layer) -> list[tuple[int, int]]:
    divisor = getattr(network, "size_divisor", 1)
    return [
        (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
        for height, width in subject.sizes
    ]


def _outputs(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def _logits(network: nn.Layer, images: Any) -> Any:
    network.eval()
    with paddle.no_grad():
        return _outputs(network(images))[0]


def _state(network: nn.Layer) -> dict[str, np.ndarray]:
    # copied, because arrays may share the memory of tensors that a later step changes
    return {key: tensor.numpy().copy() for key, tensor in network.state_dict().items()}


def _step(subject: Subject, network: nn.Layer) -> float:
    """Run one training step up to the gradients; give the loss, summed over the outputs."""
    network.train()
    size = _sizes(subject, network)[0]
    labels, outputs = subject.labels(size), network(subject.images(size))
    if subject.loss is not None:
        loss = subject.loss(outputs, labels)
    else:
        labels = labels.unsqueeze(1)
        losses = [nn.functional.cross_entropy(y, labels, axis=1) for y in _outputs(outputs)]
        loss = sum(losses[1:], losses[0])
    loss.backward()
    return float(loss)
