"""DeepLabv3+ as an object that trains and predicts, with the constructor of PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segcore.nn.build import backbone_option_names, find_backbone
from segcore.trainable import SemanticModel, loss_settings

__all__ = ["DeepLabv3p"]

# PaddleX's names that are not those of backbones, and models that are named after theirs
_BACKBONES = {"MobileNetV3_large_x1_0_ssld": "MobileNetV3_large_x1_0"}
_MODELS = {
    **{
        name: f"DeepLabv3p-{name}"
        for name in (
            *(f"MobileNetV2_x{scale}" for scale in ("0.25", "0.5", "1.0", "1.5", "2.0")),
            "MobileNetV3_large_x1_0",
            "Xception41",
            "Xception65",
        )
    },
    "ResNet50_vd": "Deeplabv3_Plus-R50",
    "ResNet101_vd": "Deeplabv3_Plus-R101",
}
_ANY_BACKBONE = "DeepLabv3p-MobileNetV2_x1.0"  # its option `backbone` then names another


class DeepLabv3p(SemanticModel):
    """DeepLabv3+ on any registered backbone.

    `output_stride` is that of the backbone's last feature, where it has such an option; with the
    default MobileNetV3 keeps its own, 32, as in PaddleX. `pooling_crop_size`, (width, height), lets
    the encoder average over windows of the size of training crops. See
    `segcore.trainable.SemanticModel` for the methods, and `loss_settings` for the losses.
    Raises UnknownNameError for a backbone that nobody offers, ConfigError for other values.
    """

    def __init__(
        self,
        num_classes: int = 2,
        backbone: str = "MobileNetV2_x1.0",
        output_stride: int = 16,
        aspp_with_sep_conv: bool = True,
        decoder_use_sep_conv: bool = True,
        encoder_with_aspp: bool = True,
        enable_decoder: bool = True,
        use_bce_loss: bool = False,
        use_dice_loss: bool = False,
        class_weight: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        pooling_crop_size: Sequence[int] | None = None,
        input_channel: int = 3,
    ) -> None:
        name = find_backbone(_BACKBONES.get(backbone, backbone))
        settings = loss_settings(
            num_classes,
            use_bce_loss=use_bce_loss,
            use_dice_loss=use_dice_loss,
            class_weight=class_weight,
            ignore_index=ignore_index,
            input_channel=input_channel,
        )
        options: dict[str, Any] = {
            "backbone": name,
            "aspp_with_sep_conv": aspp_with_sep_conv,
            "decoder_use_sep_conv": decoder_use_sep_conv,
            "encoder_with_aspp": encoder_with_aspp,
            "enable_decoder": enable_decoder,
        }
        if pooling_crop_size is not None:
            options["pooling_crop_size"] = list(pooling_crop_size)
        has_own_stride = "output_stride" not in backbone_option_names(name) or name.startswith(
            "MobileNetV3"
        )
        if not (has_own_stride and output_stride == 16):
            options["output_stride"] = output_stride
        super().__init__(
            _MODELS.get(name, _ANY_BACKBONE), num_classes, {**settings, "model.options": options}
        )
