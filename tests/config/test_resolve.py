import pytest

from segcore.config.resolve import find_problems, merge_sources, resolve_config
from segcore.errors import ConfigError, PluginBrokenError, UnknownNameError


@pytest.fixture
def resolve(tmp_path, catalogue):
    """Resolve the text of a file, options and flags for a model."""

    def run(text=None, *options, model="Net", **flags):
        path = None
        if text is not None:
            path = tmp_path / "c.yaml"
            path.write_text(text)
        flags = {key.replace("__", "."): value for key, value in flags.items()}
        return resolve_config(model, path, options, flags, catalogue)

    return run


@pytest.fixture
def problems(resolve):
    """List what is wrong with a configuration."""

    def run(*arguments, **flags):
        with pytest.raises(ConfigError) as caught:
            resolve(*arguments, **flags)
        return [str(problem) for problem in caught.value.problems]

    return run


def test_the_recipe_lies_between_defaults_and_file(resolve, recipe):
    recipe("train: {batch_size: 7, seed: 7}\n")
    resolved = resolve("train: {seed: 8}", model="with_recipe")
    assert resolved.config.model.name == "WithRecipe"
    assert (resolved.config.train.batch_size, resolved.config.train.seed) == (7, 8)
    assert str(resolved.origin("train.batch_size")) == "recipe net_package:net.yaml:1"
    assert str(resolved.origin("train.log_interval")) == "default"


def test_a_file_may_name_the_model_and_gets_its_recipe(resolve, recipe):
    recipe("train: {batch_size: 7}")
    resolved = resolve("model: {name: WithRecipe}", model=None)
    assert resolved.config.train.batch_size == 7


def test_the_model_asked_for_wins_over_the_file(resolve):
    resolved = resolve("model: {name: Nowhere}", model="Plain")
    assert resolved.config.model.name == "Plain"


@pytest.mark.parametrize("text", [None, "a: [1", "- 1", "_base_: x.yaml"])
def test_a_recipe_that_cannot_be_used_is_its_plugins_fault(resolve, recipe, text):
    if text is not None:
        recipe(text)
    with pytest.raises(PluginBrokenError, match=r"'WithRecipe'.*net_package:net\.yaml.*authors"):
        resolve(model="WithRecipe")


def test_an_unknown_model_is_answered_with_the_nearest(resolve):
    with pytest.raises(UnknownNameError, match="Plain"):
        resolve(model="Plane")


def test_a_missing_model_is_asked_for(problems):
    (problem,) = problems("train: {seed: 1}", model=None)
    assert problem.startswith("model.name: is required; name a model")


def test_a_file_for_any_model_is_checked_without_one(tmp_path, catalogue):
    path = tmp_path / "c.yaml"
    path.write_text("train: {seed: x}")
    layers = merge_sources(None, path, (), {}, catalogue)
    _, found = find_problems(layers, catalogue, needs_model=False)
    assert [problem.key for problem in found] == ["train.seed"]


def test_all_problems_come_at_once_with_key_value_allowed_nearest_and_origin(problems, tmp_path):
    path = tmp_path / "c.yaml"
    found = problems(
        "train:\n  lerning_rate: 1\n  losses:\n    - {type: crossentropyloss, coeff: 2}\n"
        "eval:\n  convention: presnt\n",
        "train.batch_size=0",
        data__num_classes="many",
    )
    assert found == [
        "data.num_classes = 'many': must be a whole number (command line (data.num_classes))",
        "train.batch_size = 0: must be greater than or equal to 1 (-o train.batch_size=0)",
        f"train.lerning_rate: unknown key; did you mean 'learning_rate'? ({path}:2)",
        "eval.convention = 'presnt': must be 'present', 'paddleseg' or 'paddlex1'; "
        f"did you mean 'present'? ({path}:6)",
        f"train.losses.0.coeff: unknown key; did you mean 'coef'? ({path}:4)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {transforms: [{type: Crop, crop_sise: 3}]}", "0.crop_sise: unknown key; did you"),
        ("train: {transforms: [{type: Crop, crop_size: 0}]}", "0.crop_size = 0: must be greater"),
        ("train: {transforms: [{type: Flip, prob: 1}]}", "0.prob: unknown key; Flip takes no opt"),
        ("train: {transforms: [{type: Crp}]}", "0.type: there is no 'Crp'; did you mean ['Crop']"),
        ("train: {transforms: [{prob: 1}]}", "0.type: is required"),
        ("train: {transforms: [Crop]}", "0 = 'Crop': must be a mapping of keys"),
        ("train: {transforms: Crop}", "transforms = 'Crop': must be a list"),
        ("train: {transforms: [{type: Stranger, skale: 2}]}", "did you mean 'scale'"),
        ("train: {transforms: [{type: Stranger, scale: .inf}]}", "scale = inf: must be finite"),
        ("train: {transforms: [{type: Crop, prob: .nan}]}", "prob = nan: must be finite"),
        ("model: {options: {bakbone: x}}", "model.options.bakbone: unknown key; did you mean 'bac"),
        ("model: {options: {channels: x}}", "model.options.channels = 'x': must be a whole number"),
        ("eval: {metrics: []}", "eval.metrics = []: must have at least 1 item, not 0"),
        (
            "train: {losses: [{type: CrossEntropyLoss, coef: 0}]}",
            "train.losses.0.coef = 0: must",
        ),
        ("train: {crop_size: [1]}", "train.crop_size = [1]: has too few values"),
        ("predict: {target_size: x}", "must be a list or must be a whole number"),
        ("data: {label_map: {a: 1}}", "data.label_map.a = 1: its key must be a whole number"),
        (
            "batch_size: 3",
            "did you mean train.batch_size or eval.batch_size or predict.batch_size?",
        ),
        ("lerning_rate: 3", "unknown key; did you mean train.learning_rate?"),
        ("nonsense: 3", "unknown key; known here: version, model, data"),
        ("train: {iters: 3, epochs: 3}", "train: give iters or epochs, not both ("),
        ("data: {num_classes: 9, ignore_index: 3}", "data.ignore_index = 3: lies within"),
        ("train:", "train: must be a mapping of keys"),
        ("1: 2", "1: unknown key"),
    ],
)
def test_a_problem_says_what_is_meant(problems, text, said):
    found = problems(text)
    assert any(said in problem for problem in found), found
    assert len(found) == 1


def test_options_that_fit_are_accepted(resolve):
    config = resolve(
        "train: {transforms: [{type: crop, crop_size: 3}]}", "model.options.channels=3"
    ).config
    assert config.train.transforms[0].options == {"crop_size": 3}
    assert config.model.options == {"channels": 3}


def test_thousands_of_problems_are_counted_and_few_are_printed(resolve):
    text = "\n".join(f"key{number}: 1" for number in range(5000))
    with pytest.raises(ConfigError, match="has 5000 problems") as caught:
        resolve(text)
    assert "and 4950 more" in str(caught.value)


def test_windows_of_a_recipe_can_be_changed_and_switched_off(resolve, recipe):
    recipe("eval: {sliding: {crop: [64, 32], stride: [48, 32]}}")
    changed = resolve(None, "eval.sliding.stride=[8, 8]", model="WithRecipe").config.eval.sliding
    assert (changed.crop, changed.stride) == ((64, 32), (8, 8))
    assert resolve(None, "eval.sliding=null", model="WithRecipe").config.eval.sliding is None


def test_windows_are_asked_for_by_one_option(resolve):
    sliding = resolve(None, "eval.sliding.crop=[64, 32]").config.eval.sliding
    assert (sliding.crop, sliding.stride) == ((64, 32), None)


def test_windows_with_gaps_between_them_are_refused(problems):
    (problem,) = problems("eval: {sliding: {crop: [64, 32], stride: [48, 33]}}")
    assert "eval.sliding" in problem
    assert "leaves gaps" in problem


def test_the_settings_of_data_are_had_without_a_model(tmp_path):
    from segcore.config.resolve import resolve_data
    from segcore.discovery.catalogue import get_catalogue

    file = tmp_path / "train.yaml"
    file.write_text("model: {name: Any}\ntrain: {iters: 5}\ndata: {ignore_index: 9}\n")
    data = resolve_data(file, ["data.num_classes=3"], get_catalogue())
    assert (data.ignore_index, data.num_classes) == (9, 3)
    with pytest.raises(ConfigError, match=r"data\.labels: unknown key"):
        resolve_data(None, ["data.labels=3"], get_catalogue())
