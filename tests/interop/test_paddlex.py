"""PaddleX loads what segcore exports and gives the same label maps; segcore loads PaddleX's.

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


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="SEGCORE_PADDLEX_PYTHON names no PaddleX environment")
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
    script = ROOT / "tests" / "interop" / "paddlex_check.py"
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [PYTHON, str(script), str(tmp_path / "inference"), str(images)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(cases) == 6, done.stderr[-2000:]
    assert [case["differing"] for case in cases] == [0] * 6
