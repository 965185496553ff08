"""PaddleX loads what segcore exports and gives the same results; segcore loads PaddleX's.

PaddleX lives in an environment of its own: SEGCORE_PADDLEX_PYTHON names its interpreter.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("SEGCORE_PADDLEX_PYTHON")


@pytest.fixture
def images(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(64, 96), (64, 96), (97, 161)]):
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(folder / f"{number}.png")
    return folder


needs_paddlex = pytest.mark.skipif(
    PYTHON is None, reason="SEGCORE_PADDLEX_PYTHON names no PaddleX environment"
)


def compare(script, *arguments):
    """Run a script of this folder in the environment of PaddleX; give what it prints as JSON."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [PYTHON, str(ROOT / "tests" / "interop" / script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert cases, done.stderr[-2000:]
    return cases


@pytest.mark.slow
@needs_paddlex
def test_paddlex_and_segcore_give_the_same_label_maps(images, tmp_path):
    import paddle

    from segcore.config.schema import Config
    from segcore.discovery.catalogue import get_catalogue
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task

    catalogue = get_catalogue()
    paddle.seed(0)
    network = catalogue.build_model(catalogue.models.find("PP-LiteSeg-T"), 4)
    config = Config.model_validate({"model": {"name": "PP-LiteSeg-T"}, "data": {"num_classes": 4}})
    write_export(network, create_task(config, None), tmp_path / "inference")
    cases = compare("paddlex_check.py", tmp_path / "inference", images)
    assert [case["differing"] for case in cases] == [0] * 6


@pytest.mark.slow
@needs_paddlex
def test_paddlex_and_segcore_find_the_same_objects(images, tmp_path):
    import paddle

    from segcore.config.schema import Config
    from segcore.discovery.catalogue import get_catalogue
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task

    options = {"fpn_num_channels": 16, "rcnn_channels": 32, "mask_channels": 16}
    settings = {
        "model": {"name": "MaskRCNN-ResNet18-FPN", "options": options},
        "data": {"num_classes": 3},
        "eval": {
            "transforms": [
                {"type": "Resize", "target_size": [150, 90], "keep_ratio": True},
                {"type": "Normalize"},
            ]
        },
    }
    config = Config.model_validate(settings)
    catalogue = get_catalogue()
    paddle.seed(0)
    network = catalogue.build_model(catalogue.models.find(config.model.name), 3, options)
    # untrained heads see more in noise with larger weights
    for layer, spread in ((network.bbox_head.bbox_score, 0.3), (network.bbox_head.bbox_delta, 0.1)):
        layer.weight.set_value(spread * paddle.randn(layer.weight.shape))
    write_export(network, create_task(config, ("a", "b", "c")), tmp_path / "inference")
    # PaddleX knows no ResNet18, but what is in the graph does not matter to it
    name = "MaskRCNN-ResNet50-FPN"
    cases = compare("paddlex_instances.py", tmp_path / "inference", images, name)
    assert len(cases) == 2
    for case in cases:
        assert case["objects"] > 10
        assert case["unlike_images"] == 0
        assert case["box_px"] < 0.01
        assert case["score"] < 1e-4
        assert case["mask_pixels"] <= case["objects"]
