"""`create_model`: from what is on disk to a model that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.config.resolve import override_config
from segcore.devices.select import select_device
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import PluginMissingError, RequestError, UnknownNameError
from segcore.inference.predictor import Predictor, TargetSize
from segcore.inference.published import find_published, published_names
from segcore.inference.source import (
    FileState,
    FoundModel,
    file_state,
    find_model,
    require_same_files,
    verify_source,
)

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.devices.select import DeviceChoice
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import InferenceSession, ModelSource, Runtime

__all__ = ["choose_runtime", "create_model", "open_session"]

# What decides how images are read, prepared, run and drawn. Mean and deviation stand in the
# transforms, and what the network was built for stays.
_FOLLOWED = (
    "data.accept_truncated_tail",
    "data.first_frame",
    "data.max_pixels",
    "data.palette",
    "data.value_range",
    "eval.sliding",
    "eval.transforms",
    "predict",
)
_EXAMPLES = {
    "model_name": "'PP-LiteSeg-T'",
    "device": "'auto', 'cpu' or 'gpu:0'",
    "runtime": "'auto', 'paddle' or 'eager'",
    "weights": "'CITYSCAPES'",
}


def create_model(
    model_name: str | None = None,
    model_dir: str | Path | None = None,
    *,
    device: str = "auto",
    target_size: TargetSize = None,
    use_hpip: bool = False,
    batch_size: int | None = None,
    runtime: str = "auto",
    weights: str | None = None,
    score_threshold: float | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
) -> Predictor:
    """Load a trained or exported model.

    `model_dir` is the folder of a run, its `best_model` or `best_model/inference`, a folder that
    PaddleX or PaddleSeg exported, or a file of weights beside its configuration. `model_name`, if
    given, must be the model that is found there. In place of `model_dir`, `weights` names weights
    that are published for `model_name`, such as CITYSCAPES. `device` is `auto`, `cpu`, `gpu:0`, ...
    `runtime` names one of the installed inference runtimes; `auto` takes the exported graph where
    there is one, else the network itself. `use_hpip` insists on an optimised graph.
    `score_threshold` is the lowest score of the objects in results of instance models; None takes
    `predict.score_threshold`, and other models refuse it. `settings` are values by dotted key that
    go before those of the model's configuration, such as {"eval.sliding": {"crop": [512, 512]}}, or
    texts such as "eval.sliding={crop: [512, 512]}". Raises SegcoreError; the message says what to
    do.

    Threads may share the model. A copy or a pickle of it loads the same files anew, and raises
    RequestError where others have taken their place.
    """
    from segcore.inference.eager import create_task

    given: dict[str, Any] = {
        "model_name": model_name,
        "model_dir": None if model_dir is None else Path(model_dir).absolute(),
        "device": device,
        "use_hpip": use_hpip,
        "runtime": runtime,
        "weights": weights,
        "score_threshold": score_threshold,
        "settings": settings,
    }
    _require_texts(model_name=model_name, device=device, runtime=runtime, weights=weights)
    catalogue = get_catalogue()
    found = _find(model_name, model_dir, weights, catalogue)
    config = found.config
    threshold = None if score_threshold is None else {"predict.score_threshold": score_threshold}
    for changes in (settings, threshold or ()):
        config = override_config(config, changes, catalogue, followed=_FOLLOWED, by="predictions")
    choice = select_device(device, catalogue)
    if len(choice.indices) > 1:
        raise RequestError(f"device {choice}: predictions run on one device; name one")
    state = file_state(found.source)
    name, session = open_session(
        runtime, found.source, config, choice, catalogue, use_hpip=use_hpip
    )
    task = create_task(config, found.class_names, found.task)
    lowest = config.predict.score_threshold
    is_given = score_threshold is not None or lowest != found.config.predict.score_threshold
    if is_given and not task.has_scores:
        raise RequestError(
            f"score_threshold={lowest}: {task.name} models find nothing that has a score; leave it "
            "out"
        )
    facts = {"model": found.config.model.name, "runtime": name, "device": str(choice)}
    return Predictor(
        session,
        task,
        target_size=target_size,
        batch_size=batch_size,
        facts=facts,
        origin=partial(_open_again, state, given),
    )


def _require_texts(**given: object) -> None:
    """Raise RequestError for what is neither text nor, where there is a way without it, None."""
    for name, value in given.items():
        can_lack = name not in ("device", "runtime")
        if not isinstance(value, str) and not (can_lack and value is None):
            raise RequestError(f"{name}={value!r}: give text, such as {_EXAMPLES[name]}")


def _open_again(state: FileState, given: Mapping[str, Any], **changes: Any) -> Predictor:
    """Load a model as it was loaded before. Raises RequestError where its files are others now."""
    found = _find(given["model_name"], given["model_dir"], given["weights"], get_catalogue())
    require_same_files(found.source, state)
    return create_model(**given, **changes)


def _find(
    name: str | None, model_dir: str | Path | None, weights: str | None, catalogue: Catalogue
) -> FoundModel:
    if weights is not None:
        if name is None or model_dir is not None:
            raise RequestError(
                f"weights {weights!r} are found by the name of a model: give that, and no folder"
            )
        return find_published(name, weights, catalogue)
    if model_dir is None:
        raise _no_weights(name, catalogue)
    found = find_model(Path(model_dir), name)
    _check_name(name, found, Path(model_dir), catalogue)
    return found


def open_session(
    wanted: str,
    source: ModelSource,
    config: Config,
    choice: DeviceChoice,
    catalogue: Catalogue,
    *,
    use_hpip: bool = False,
) -> tuple[str, InferenceSession]:
    """Load `source` with the runtime that `choose_runtime` finds; give its name as well.

    Files are compared with their manifests first, whichever runtime reads them. Raises
    SegcoreError.
    """
    name, engine = choose_runtime(wanted, source, config, catalogue, use_hpip=use_hpip)
    needed = _part_for(engine, source)
    verify_source(needed)
    return name, engine.load(needed, choice.device, choice.indices[0])


def _part_for(engine: Runtime, source: ModelSource) -> ModelSource:
    """Leave out the half of `source` that `engine` can do without: damage there stops nobody."""
    if source.export_dir is None or source.weights is None:
        return source
    halves = (replace(source, weights=None), replace(source, export_dir=None))
    return next((half for half in halves if engine.refusal(half) is None), source)


def choose_runtime(
    wanted: str,
    source: ModelSource,
    config: Config,
    catalogue: Catalogue,
    *,
    use_hpip: bool = False,
) -> tuple[str, Runtime]:
    """Find the runtime of the name `wanted`, or for `auto` the first that runs `source`.

    `config` is what the model will follow. Sliding windows average logits, which exported graphs do
    not give: where the weights are at hand as well, `auto` takes the network itself for them.
    """
    if use_hpip and source.export_dir is None:
        raise RequestError(
            "high-performance inference runs exported graphs, and there is none here: make one "
            "with `segcore export`"
        )
    has_network = source.weights is not None and source.config is not None
    if wanted == "auto" and not use_hpip and has_network and config.eval.sliding is not None:
        wanted = "eager"
    if wanted != "auto":
        spec = catalogue.runtimes.find(wanted).spec
        return spec.name, spec.load_target()()
    refusals = []
    for entry in catalogue.runtimes:
        engine: Runtime = entry.load_target()()
        reason = engine.refusal(source)
        if reason is None:
            return entry.name, engine
        refusals.append(f"{entry.name}: {reason}")
    raise RequestError("no runtime runs this model. " + "; ".join(refusals))


def _check_name(name: str | None, found: FoundModel, model_dir: Path, catalogue: Catalogue) -> None:
    if name is None:
        return
    held = found.config.model.name
    if _canonical(name, catalogue) != _canonical(held, catalogue):
        raise RequestError(f"{model_dir} holds {held}, not {name}: correct one of the two")


def _canonical(name: str, catalogue: Catalogue) -> str:
    """Give the name that all spellings of a model share; unknown models only differ in case."""
    if name in catalogue.models:
        return catalogue.models.find(name).spec.name
    return name.casefold()


def _no_weights(name: str | None, catalogue: Catalogue) -> RequestError:
    if name is None:
        return RequestError("name a model_dir: the folder of a run or of an exported model")
    try:
        shown = catalogue.models.find(name).spec.name
    except UnknownNameError as error:
        return UnknownNameError(f"{error}. Nor is it a file or a folder")
    except PluginMissingError:
        plugin, _, _ = name.rpartition("/")
        if not plugin:  # a model of ours, which nobody else has
            raise
        # whoever mistypes a path is not to install what a stranger has called so
        return UnknownNameError(
            f"{name}: there is no such file or folder, nor a plugin {plugin} installed that could "
            "have a model of that name"
        )
    names = published_names(name, catalogue)
    published = f", or weights (--weights): {', '.join(names)}" if names else ""
    return RequestError(
        f"{shown} needs trained weights: give model_dir, the folder of a run or of an exported "
        f"model; `segcore train {shown} --data DIR` makes one{published}"
    )
