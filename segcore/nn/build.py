"""Build networks and backbones by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segcore.devices.framework import require_paddle
from segcore.discovery.build import build_component
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import UnknownNameError

if TYPE_CHECKING:
    import paddle

    from segcore.nn.backbone import Backbone

__all__ = ["backbone_option_names", "build_backbone", "build_model", "find_backbone"]


def build_model(name: str, num_classes: int = 19, **options: Any) -> paddle.nn.Layer:
    """Build the network `name` with random weights.

    In eval mode `forward(images)` of images (N, in_channels, H, W) gives a list whose first element
    is the logits (N, num_classes, H, W). Raises UnknownNameError or PluginMissingError for a name
    that no installed plugin offers, ConfigError for options that the model does not have.
    """
    require_paddle()
    catalogue = get_catalogue()
    return catalogue.build_model(catalogue.models.find(name), num_classes, options)


def build_backbone(name: str, **options: Any) -> Backbone:
    """Build the backbone `name` that any plugin offers, with random weights.

    Raises UnknownNameError for a name that no installed plugin offers, ConfigError for options that
    the backbone does not have.
    """
    require_paddle()
    backbone: Backbone = build_component(get_catalogue().backbones.find(name), options)
    return backbone


def backbone_option_names(name: str) -> frozenset[str]:
    """Name the options that the backbone `name` has, so that a head may choose their defaults.

    Raises UnknownNameError for a name that no installed plugin offers.
    """
    options = get_catalogue().backbones.find(name).load_options()
    return frozenset() if options is None else frozenset(options.model_fields)


def find_backbone(name: str) -> str:
    """Give the name that all spellings of a backbone share; a qualified name stays as it is.

    Raises UnknownNameError that lists the backbones of all plugins for a name of none of them.
    """
    backbones = get_catalogue().backbones
    try:
        entry = backbones.find(name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}. Those that fit: {', '.join(backbones.names())}") from None
    return name if "/" in name else entry.name
