"""Whatever the libraries and the system below a reader raise, no command takes it for a defect."""

import pytest

from segcore.errors import DataError, ImageError
from segcore.foreign import foreign_errors, reason_of
from tests.campaigns import foreign_errors as campaign


@pytest.fixture
def root(tmp_path):
    campaign.make_data(tmp_path)
    return tmp_path


def check(root, commands, count):
    with campaign.serving(root) as url:
        struck, faults = campaign.campaign(commands, count, 1, root, url)
    assert struck >= 0.9 * count  # what is read once and kept is not read again
    assert faults == {}


def test_commands_on_data_end_in_an_error_of_segcore(root):
    check(root, campaign.LIGHT, 130)


@pytest.mark.slow
def test_commands_on_models_end_in_an_error_of_segcore(root):
    campaign.train_model(root)
    check(root, ["train", "eval", "predict", "predict-eager", "predict-url", "export"], 60)


def test_what_no_reader_guards_is_noticed(root):
    assert campaign.control(root) == len(campaign.VALUES) - 1  # all but MemoryError


def test_the_boundary_lets_errors_of_segcore_and_want_of_memory_through():
    def read(error):
        with foreign_errors(lambda reason: DataError(f"a.bin: {reason}")):
            raise error

    with pytest.raises(DataError, match=r"a\.bin: odd$"):
        read(RuntimeError("long\nodd"))
    for passing in (ImageError("own"), MemoryError(), KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(passing)):
            read(passing)


def test_a_reason_is_one_short_line():
    assert reason_of(ValueError("a\nb" + "c" * 999)) == "b" + "c" * 199
    assert reason_of(ValueError()) == "ValueError"
    assert reason_of(RecursionError("maximum recursion depth exceeded")) == "nests too deeply"
