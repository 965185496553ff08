"""The core and its plugins, but no Paddle: all that is light works, the rest names the remedy."""

from importlib.util import find_spec


def test_there_is_no_paddle():
    assert find_spec("paddle") is None


def test_models_are_listed_and_their_settings_shown(segcore):
    assert "PP-LiteSeg-T" in {model["name"] for model in segcore.json("models", "--json")}
    assert "train.iters" in segcore.json("config", "show", "PP-LiteSeg-T", "--json")["origins"]


def test_training_says_how_paddle_is_installed(segcore, data):
    answer = segcore("train", "PP-LiteSeg-T", "--data", data, code=3)
    assert 'pip install "segcore[cpu]"' in answer.stderr


def test_python_says_how_paddle_is_installed(segcore):
    code = (
        "import segcore; from segcore.errors import FrameworkMissingError\n"
        "try: segcore.build_model('PP-LiteSeg-T', num_classes=2)\n"
        "except FrameworkMissingError as error: print(error)"
    )
    assert "segcore[cpu]" in segcore.python(code)
