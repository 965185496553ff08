"""From `--device` to devices that are there."""

from types import SimpleNamespace

import pytest

from segcore.devices.select import parse_device, select_device
from segcore.errors import DeviceMissingError, RequestError


class Fake:
    """A kind of device with `number` of them, or a reason why there are none."""

    def __init__(self, kind, number, reason=None):
        self.kind, self.number, self.reason = kind, number, reason

    def unavailable_reason(self):
        return self.reason

    def count(self):
        return self.number

    def place(self, index):
        return f"{self.kind}:{index}"


def catalogue_of(*devices):
    def find(name):
        device = next(device for device in devices if device.kind == name.lower())
        spec = SimpleNamespace(name=device.kind, load_target=lambda: lambda: device)
        return SimpleNamespace(spec=spec)

    return SimpleNamespace(devices=SimpleNamespace(find=find))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", ("cpu", (0,))),
        (" gpu ", ("gpu", (0,))),
        ("gpu:3", ("gpu", (3,))),
        ("gpu:2,0", ("gpu", (2, 0))),
        ("GPU:1", ("GPU", (1,))),
        ("segcore-ascend/npu:1", ("segcore-ascend/npu", (1,))),
    ],
)
def test_a_device_is_a_kind_and_numbers(text, expected):
    assert parse_device(text) == expected


@pytest.mark.parametrize("text", ["", ":0", "gpu:", "gpu:a", "gpu:0,", "gpu:-1", "gpu:0 1", "0"])
def test_another_form_is_refused_with_examples(text):
    with pytest.raises(RequestError, match="such as cpu, gpu:0"):
        parse_device(text)


def test_a_number_that_stands_there_twice_is_refused():
    with pytest.raises(RequestError, match="twice"):
        parse_device("gpu:1,1")


def test_the_choice_knows_its_places():
    choice = select_device("gpu:1,0", catalogue_of(Fake("gpu", 2)))
    assert choice.kind == "gpu"
    assert choice.places == ("gpu:1", "gpu:0")
    assert str(choice) == "gpu:1,gpu:0"


def test_a_number_beyond_the_devices_is_refused_with_those_there_are():
    with pytest.raises(DeviceMissingError, match=r"no gpu:2; this machine has gpu:0 to gpu:1"):
        select_device("gpu:0,2", catalogue_of(Fake("gpu", 2)))


def test_a_device_that_cannot_be_used_is_never_replaced_by_another():
    catalogue = catalogue_of(Fake("cpu", 1), Fake("gpu", 0, "no driver"))
    with pytest.raises(DeviceMissingError, match="device 'gpu': no driver"):
        select_device("gpu", catalogue)


def test_auto_takes_the_gpu_where_one_computes():
    catalogue = catalogue_of(Fake("cpu", 1), Fake("gpu", 2))
    assert select_device("auto", catalogue).places == ("gpu:0",)


def test_auto_takes_the_cpu_where_no_gpu_computes():
    catalogue = catalogue_of(Fake("cpu", 1), Fake("gpu", 0, "no driver"))
    assert select_device("auto", catalogue).kind == "cpu"
