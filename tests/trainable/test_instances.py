"""What models have in common serves models of instances, too."""

import numpy as np
import pytest

from segcore.trainable import TrainableModel, TrainRequest, load_model


class Boxes(TrainableModel):
    """The face of the toy network for instances, as a plugin would write it."""

    def train(self, num_epochs, train_dataset, eval_dataset, save_dir):
        return self._train(
            TrainRequest(
                num_epochs=num_epochs,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                train_batch_size=4,
                save_interval_epochs=1,
                log_interval_steps=2,
                save_dir=save_dir,
                pretrain_weights=None,
                early_stop=False,
                early_stop_patience=5,
                resume_checkpoint=None,
                settings={},
            )
        )


@pytest.fixture
def boxes(configure_instances):
    data = configure_instances().model_dump()
    settings = {"eval.metrics": data["eval"]["metrics"], "eval.best": data["eval"]["best"]}
    model = Boxes("Toy-Boxes", 4, settings)
    model.device = "cpu"
    model.settings = {"train.num_workers": 0}
    return model


def test_it_is_trained_measured_and_predicts(boxes, objects, tmp_path):
    result = boxes.train(1, objects, objects, tmp_path / "run")
    assert result["models"]["best"]["metric"] == "best_overlap"
    image = np.zeros((40, 50, 3), np.uint8)
    first, second = boxes.batch_predict([image, image])
    assert [result.json.pop("source") for result in (first, second)] == ["array 0", "array 1"]
    assert first.json == second.json
    assert boxes._measure(objects, 1)["best_overlap"] == result["models"]["best"]["score"]
    assert (
        load_model(tmp_path / "run", device="cpu").predict(image).json == boxes.predict(image).json
    )
