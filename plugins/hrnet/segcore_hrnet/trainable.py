"""HRNet as an object that trains and predicts, with the constructor of PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.errors import ConfigError
from segcore.trainable import SemanticModel, loss_settings

__all__ = ["HRNet"]

_WIDTHS = (18, 30, 32, 40, 44, 48, 60, 64, "18_small_v1")


class HRNet(SemanticModel):
    """HRNet with a fully convolutional head; `width` counts the channels at stride 4.

    It is 18, 30, 32, 40, 44, 48, 60, 64 or "18_small_v1". See `segcore.trainable.SemanticModel`
    for the methods, and `loss_settings` for the losses. Raises ConfigError.
    """

    weight_decay = 5e-4

    def __init__(
        self,
        num_classes: int = 2,
        width: int | str = 18,
        use_bce_loss: bool = False,
        use_dice_loss: bool = False,
        class_weight: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        input_channel: int = 3,
    ) -> None:
        if width not in _WIDTHS:
            raise ConfigError(f"width={width!r}: give one of {', '.join(map(repr, _WIDTHS))}")
        settings = loss_settings(
            num_classes,
            use_bce_loss=use_bce_loss,
            use_dice_loss=use_dice_loss,
            class_weight=class_weight,
            ignore_index=ignore_index,
            input_channel=input_channel,
        )
        suffix = "18_Small_V1" if isinstance(width, str) else str(width)
        super().__init__(f"HRNet-FCN-W{suffix}", num_classes, settings)
