"""U-Net as an object that trains and predicts, with the constructor of PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.errors import ConfigError
from segcore.trainable import DefaultWeights, SemanticModel, loss_settings, with_defaults

__all__ = ["UNet"]

_MODELS = {"bilinear": "UNet-bilinear", "deconv": "UNet-deconv"}


class UNet(SemanticModel):
    """U-Net; `upsample_mode` is bilinear, or deconv for a learnt way up.

    See `segcore.trainable.SemanticModel` for the methods, and `loss_settings` for the losses.
    Raises ConfigError.
    """

    train = with_defaults(SemanticModel.train, pretrain_weights=DefaultWeights("COCO"))

    def __init__(
        self,
        num_classes: int = 2,
        upsample_mode: str = "bilinear",
        use_bce_loss: bool = False,
        use_dice_loss: bool = False,
        class_weight: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        input_channel: int = 3,
    ) -> None:
        if upsample_mode not in _MODELS:
            raise ConfigError(f"upsample_mode={upsample_mode!r}: give 'bilinear' or 'deconv'")
        settings = loss_settings(
            num_classes,
            use_bce_loss=use_bce_loss,
            use_dice_loss=use_dice_loss,
            class_weight=class_weight,
            ignore_index=ignore_index,
            input_channel=input_channel,
        )
        super().__init__(_MODELS[upsample_mode], num_classes, settings)
