"""Begin a training from weights of another one, and say what of them was taken."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segcore.checkpoint.backbone_weights import is_backbone_file, load_backbone_into
from segcore.checkpoint.pretrained import Pretrained, bring, find_pretrained
from segcore.checkpoint.web import is_url
from segcore.checkpoint.weights import MatchReport, load_into, match_weights, read_weights
from segcore.config.schema import WeightsOrigin
from segcore.engine.head import ClassAxis, carry_rows, classes_to_reset, find_head
from segcore.errors import ConfigError, WeightsError
from segcore.filesystem import is_file
from segcore.inference.source import find_model
from segcore.nn.nearest import nearest_model_in

if TYPE_CHECKING:
    import paddle

    from segcore.checkpoint.pdparams import Array
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.specs import ModelSpec

__all__ = ["find_start", "load_pretrained"]

log = logging.getLogger(__name__)

_SHOWN = 8  # names of arrays in a line of the log


def find_start(config: Config, entry: Entry[ModelSpec], catalogue: Catalogue) -> Pretrained | None:
    """Say where the weights are that `train.pretrained` asks for; None for none.

    Where an earlier training noted which file that was, it must be that file again. Raises what
    `find_pretrained` does.
    """
    text, noted = config.train.pretrained, config.train.pretrained_origin
    if text is None:
        return None
    found = find_pretrained(text, entry, config.model.options, catalogue)
    if noted is None or noted.name != text:
        return found
    is_named = is_url(found.address) and not is_url(text)
    address = noted.address if is_named else found.address
    return replace(found, address=address, sha256=noted.sha256)


def load_pretrained(
    network: paddle.nn.Layer,
    start: Pretrained,
    *,
    config: Config,
    entry: Entry[ModelSpec],
    class_names: Sequence[str],
    catalogue: Catalogue,
) -> WeightsOrigin:
    """Put the weights at `start` into `network`, whose classes are `class_names`.

    Gives what to note of their origin. Raises WeightsError when they do not fit, and what fetching
    and reading them may raise.
    """
    brought = bring(start)
    weights: Mapping[str, Array] = read_weights(brought.path, sha256=brought.weights_sha256)
    state = network.state_dict()
    nearest = nearest_model_in(catalogue, entry.spec.task)
    is_backbone = start.part == "backbone" or (
        start.part is None and is_backbone_file(state, weights)
    )
    if is_backbone:
        report = load_backbone_into(state, weights, source=start.shown, model=entry.name)
    else:
        head = _Head(network, config, entry, class_names, catalogue)
        weights, fresh = head.prepare(weights, start)
        branches = _unshared_branches(network, state, weights)
        if branches:
            log.info("only trained here or there, left as they are: %s", ", ".join(branches))
        report = load_into(
            state,
            weights,
            fresh=fresh | set(branches),
            any_channels=True,
            source=start.shown,
            model=f"{entry.name} with {len(class_names)} classes",
            nearest_model=nearest,
        )
    _say(report, start, f"the backbone of {entry.name}" if is_backbone else entry.name, config)
    return WeightsOrigin(name=start.text, address=start.shown, sha256=brought.sha256)


def _unshared_branches(
    network: paddle.nn.Layer, state: Mapping[str, object], weights: Mapping[str, Array]
) -> list[str]:
    """Name the arrays of branches that a network may have or lack, where one side lacks them.

    A network names its branches in `optional_layers`: they help in training alone.
    """
    layers = tuple(f"{layer}." for layer in getattr(network, "optional_layers", ()))
    unshared = sorted({*state} ^ {*weights})
    return [name for name in unshared if name.startswith(layers)]


class _Head:
    """What `train.reset_head` makes of the arrays that hang on the classes."""

    def __init__(
        self,
        network: paddle.nn.Layer,
        config: Config,
        entry: Entry[ModelSpec],
        class_names: Sequence[str],
        catalogue: Catalogue,
    ) -> None:
        self.network = network
        self.config = config
        self.entry = entry
        self.class_names = class_names
        self.catalogue = catalogue

    def prepare(
        self, weights: Mapping[str, Array], start: Pretrained
    ) -> tuple[Mapping[str, Array], frozenset[str]]:
        """Give the weights to load, and the names of the arrays that stay as they are."""
        asked = self.config.train.reset_head
        if asked is False:
            self._require_same_number(weights, start)
            self._warn_of_other_classes(start)
            return weights, frozenset()
        head = self._find()
        if asked is True or asked == "auto":
            state = self.network.state_dict()
            differs = any(
                tuple(state[name].shape) != weights[name].shape for name in head if name in weights
            )
            return weights, frozenset(head if asked is True or differs else ())
        theirs = _classes_of(start)
        if theirs is None:
            raise WeightsError(
                f"{start.shown}: nothing says which classes these weights are for (a run folder's "
                "config.yaml does), so rows of the head cannot be told apart: set train.reset_head "
                "to true or false"
            )
        reset = classes_to_reset(asked, self.class_names, theirs)
        kept = [name for name in self.class_names if name not in reset]
        log.info(
            "rows of the head: %s as in the weights, %s anew",
            *(", ".join(names) or "none" for names in (kept, reset)),
        )
        state = self.network.state_dict()
        arrays = carry_rows(weights, state, head, ours=self.class_names, theirs=theirs, reset=reset)
        return arrays, frozenset()

    def _find(self) -> dict[str, ClassAxis | None]:
        options, count = self.config.model.options, len(self.class_names)
        return find_head(self.network, self.entry, count, options, self.catalogue)

    def _require_same_number(self, weights: Mapping[str, Array], start: Pretrained) -> None:
        """Refuse weights that fit but for the number of classes, and say the ways out."""
        shapes = {name: tuple(t.shape) for name, t in self.network.state_dict().items()}
        report = match_weights(shapes, weights)
        if report.missing or report.unexpected or not report.wrong_shape:
            return
        if report.wrong_shape.keys() <= self._find().keys():
            raise WeightsError(
                f"{start.shown}: is for another number of classes than the {len(self.class_names)} "
                f"of the data: {report.describe()}. All else fits: start the head anew "
                "(--reset-head), or let it go by class name (train.reset_head=null)"
            )

    def _warn_of_other_classes(self, start: Pretrained) -> None:
        """Say that rows of the head may now stand for other classes than they were trained for."""
        try:
            theirs = _classes_of(start)
        except ConfigError as error:  # the file is not needed for anything else
            log.warning("%s. Nobody can tell by it which classes the weights are for", error)
            return
        if theirs is not None and len(theirs) == len(self.class_names) != _same(
            theirs, self.class_names
        ):
            log.warning(
                "the weights are for the classes %s and the data has %s: set train.reset_head to "
                "null to go by name",
                ", ".join(theirs),
                ", ".join(self.class_names),
            )


def _same(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the positions that have the same name."""
    return sum(one == other for one, other in zip(first, second, strict=True))


def _classes_of(start: Pretrained) -> tuple[str, ...] | None:
    """Read which classes weights are for from the configuration beside them; None without one.

    Raises ConfigError for a configuration that cannot be read.
    """
    if is_url(start.address):
        return None
    path = Path(start.address)
    if not any(is_file(folder / "config.yaml") for folder in list(path.parents)[:3]):
        return None
    return find_model(path).class_names


def _say(report: MatchReport, start: Pretrained, target: str, config: Config) -> None:
    total = len(report.matched) + len(report.missing)
    fresh = [name for name in report.left_out if name not in report.unexpected]
    total += sum(name not in report.missing for name in fresh)
    log.info(
        "%s (%s): %d of the %d arrays of %s loaded",
        *(start.text, start.shown, len(report.matched), total, target),
    )
    if report.adapted:
        log.info(
            "%s fitted from RGB to %d channels", ", ".join(report.adapted), config.data.channels
        )
    if fresh:
        log.warning("%d arrays start anew: %s", len(fresh), _listed(fresh))
    if report.unexpected:
        unused = list(report.unexpected)
        log.warning("%d arrays of the file were left out: %s", len(unused), _listed(unused))


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:_SHOWN], "..."] if len(names) > _SHOWN else names)
