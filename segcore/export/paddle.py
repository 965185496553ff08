"""Export to Paddle's own static graph, in the layout that PaddleX and Paddle Inference read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.checkpoint.files import DISK, write_atomic
from segcore.devices.cpu import CPU
from segcore.devices.framework import essence, home_for_caches, require_paddle
from segcore.errors import ExportError
from segcore.export.yml import INFERENCE_YML, render_description
from segcore.filesystem import is_file
from segcore.protocols import ModelSource

if TYPE_CHECKING:
    import paddle

    from segcore.tasks.task import Task

__all__ = ["PaddleExporter"]


class PaddleExporter:
    """Write `inference.json` (`.pdmodel` before Paddle 3), `inference.pdiparams`, `inference.yml`.

    The size of the batch and of the images stay free. The files are read back, run and compared
    with the network, because a graph that computes something else fails nobody but its users.
    """

    def export(self, network: paddle.nn.Layer, task: Task, output: Path) -> list[Path]:
        specs = task.input_specs()
        program, params = save_graph(network, specs, output / "inference")
        steps = resolved_transforms(task)
        description = render_description(
            task.config,
            steps,
            task=task.name,
            class_names=task.class_names,
            deployment=task.deployment(),
            foreign=task.foreign_sections(steps),
            program=program.name,
            params=params.name,
        )
        write_atomic(output / INFERENCE_YML, description.encode())
        _compare(network, task, output)
        return [program, params, output / INFERENCE_YML]


def save_graph(network: paddle.nn.Layer, specs: list[Any], prefix: Path) -> tuple[Path, Path]:
    """Trace `network`; save its graph and its weights under `prefix`. Raises ExportError."""
    paddle = require_paddle()
    try:
        with home_for_caches():
            paddle.jit.save(network, str(prefix), input_spec=specs)
    except (OSError, MemoryError):
        _forget_failed_trace()
        raise
    except Exception as error:  # tracing runs code of plugins, which may raise anything
        _forget_failed_trace()
        raise ExportError(
            f"the network cannot be traced into a static graph: {essence(error)}. Its forward has "
            "to be made of Paddle's operators throughout"
        ) from error
    # Paddle 2 adds a pickle that only paddle.jit.load reads; nobody should ever have to trust it.
    DISK.remove_tree(prefix.with_suffix(".pdiparams.info"))
    program = prefix.with_suffix(".json")
    if not is_file(program):
        program = prefix.with_suffix(".pdmodel")
    return program, prefix.with_suffix(".pdiparams")


def _forget_failed_trace() -> None:
    """Drop what a trace that failed left behind in Paddle 3.

    It files parameters under the address of the graph and forgets them only when a trace succeeds:
    the next graph at that address would then fail on parameters of a dead one, or crash.
    """
    for package in ("dy2static", "pir_dy2static"):  # the latter up to Paddle 3.1
        try:
            module = import_module(f"paddle.jit.{package}.parameter_recorder")
        except ModuleNotFoundError:
            continue
        recorder = module._global_parameter_recorder  # noqa: SLF001 - there is no public way
        for record in vars(recorder).values():
            record.clear()


def resolved_transforms(task: Task) -> list[dict[str, Any]]:
    """Give the steps that prepare images for `task`, each with every option that it runs with."""
    from segcore.data.transforms.build import build_transforms

    components = task.config.eval.transforms
    registry = task.catalogue.transforms
    pipeline = build_transforms(components, task.config, task.catalogue)
    steps = []
    for component, transform in zip(components, pipeline.transforms, strict=True):
        name = registry.find(component.type).spec.name
        dump = getattr(transform, "model_dump", None)
        options = component.options if dump is None else dump(mode="json")
        steps.append({"type": name, **options})
    return steps


def _compare(network: paddle.nn.Layer, task: Task, output: Path) -> None:
    """Run the export in `output` and `network` on the same noise. Raises ExportError."""
    from segcore.inference.paddle import PaddleInference

    paddle = require_paddle()
    inputs = task.example_inputs()
    with paddle.no_grad():
        answers = network(*(paddle.to_tensor(array) for array in inputs.values()))
    answers = answers if isinstance(answers, list | tuple) else [answers]
    session = PaddleInference().load(ModelSource(export_dir=output), CPU(), 0)
    fault = task.disagreement([answer.numpy() for answer in answers], session.run(inputs))
    if fault is not None:
        raise ExportError(
            f"the exported graph does not compute what the network computes: {fault}. This is a "
            f"fault of PaddlePaddle {paddle.__version__}; try another version"
        )
