"""Reading, matching, loading and writing weights."""

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segcore.checkpoint.bfloat16 import bfloat16_bits, bfloat16_to_float32
from segcore.checkpoint.pdparams import encode
from segcore.checkpoint.weights import (
    adapt_channels,
    load_into,
    match_weights,
    nearest_layout,
    read_state,
    read_weights,
    write_state,
    write_weights,
)
from segcore.errors import DivergedError, PackageMissingError, WeightsError

DATA = Path(__file__).parent / "data"
ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "conv.bias": np.array([-0.0, 1e-40], np.float32),
    "half": np.array([[1.5, -2.0]], np.float16),
    "steps": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "nothing": np.zeros((0, 4), np.float64),
    "bits": np.arange(3, dtype=np.uint16),
}


@pytest.fixture(scope="module")
def paddle():
    return pytest.importorskip("paddle")


@pytest.fixture
def network(paddle):
    return paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4))


@pytest.fixture
def weights(network):
    rng = np.random.default_rng(5)
    return {
        name: rng.standard_normal(tensor.shape).astype(np.float32)
        for name, tensor in network.state_dict().items()
    }


def bits(arrays):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_what_is_written_is_read_bit_by_bit(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    write_weights(path, ARRAYS)
    assert bits(read_weights(path)) == bits(ARRAYS)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_foreign_orders_keep_their_values_when_written(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_weights(
        path, {"be": plain.astype(">f4"), "f": np.asfortranarray(plain), "t": plain[:, ::2]}
    )
    found = read_weights(path)
    assert np.array_equal(found["be"], plain)
    assert np.array_equal(found["f"], plain)
    assert np.array_equal(found["t"], plain[:, ::2])


def test_safetensors_and_pdparams_convert_into_each_other(tmp_path):
    write_weights(tmp_path / "a.pdparams", ARRAYS)
    write_weights(tmp_path / "b.safetensors", read_weights(tmp_path / "a.pdparams"))
    write_weights(tmp_path / "c.pdparams", read_weights(tmp_path / "b.safetensors"))
    found = read_weights(tmp_path / "c.pdparams")
    assert bits(found) == bits(ARRAYS)


def test_the_official_package_reads_our_safetensors(tmp_path):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    write_weights(tmp_path / "m.safetensors", ARRAYS)
    assert bits(load_file(tmp_path / "m.safetensors")) == bits(ARRAYS)


def test_states_survive_the_file(tmp_path):
    tree = {"LR_Scheduler": {"last_epoch": 3, "last_lr": 0.1}, "w_velocity_0": np.ones(2)}
    write_state(tmp_path / "model.pdopt", tree)
    found = read_state(tmp_path / "model.pdopt").tree
    assert found["LR_Scheduler"] == tree["LR_Scheduler"]
    assert found["w_velocity_0"].tolist() == [1, 1]


def test_the_digest_is_compared_when_it_is_known(tmp_path):
    path = tmp_path / "m.pdparams"
    write_weights(path, ARRAYS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(read_weights(path, sha256=digest.upper())) == len(ARRAYS)
    flipped = bytearray(path.read_bytes())
    flipped[200] ^= 1  # in the data of the first array
    path.write_bytes(flipped)
    assert len(read_weights(path)) == len(ARRAYS)
    with pytest.raises(WeightsError, match=f"and {digest} is expected"):
        read_weights(path, sha256=digest)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".pdparams", ".pdopt"])
def test_values_that_are_not_finite_are_refused_when_read(tmp_path, value, suffix):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(encode({"a": np.ones(3), "b": np.array([1, value, value], np.float32)}))
    with pytest.raises(WeightsError, match=r"'b' has 2 values that are NaN or infinite"):
        read_weights(path)
    with pytest.raises(WeightsError, match=r"'b' has 2 values"):
        read_state(path)


def test_values_that_are_not_finite_are_never_written(tmp_path):
    bad = {"group": [np.array([np.nan])]}
    with pytest.raises(DivergedError, match=r"'group\.0' has 1 values"):
        write_state(tmp_path / "m.pdopt", bad)
    with pytest.raises(DivergedError):
        write_weights(tmp_path / "m.safetensors", {"a": np.array([np.inf], np.float16)})
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_message_gives_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "m.safetensors").write_bytes(b"x")
    with pytest.raises(PackageMissingError, match="pip install safetensors"):
        read_weights(tmp_path / "m.safetensors")


def safetensors(header, data=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04}.",
        struct.pack("<Q", 2**62) + b"{}",
        safetensors(b"\xff\xfe{}"),
        safetensors(b"[" * 100_000),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors({"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors(
            {
                "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
            },
            bytes(6),
        ),
    ],
    ids=["empty", "pickle", "2^62", "not-utf8", "deep", "sizes", "overflow", "object", "overlap"],
)
def test_unsound_safetensors_are_refused(tmp_path, content):
    pytest.importorskip("safetensors")
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.safetensors"):
        read_weights(path)


def test_damaged_safetensors_load_or_are_refused_and_nothing_else(tmp_path):
    pytest.importorskip("safetensors")
    path, rng, refused = tmp_path / "m.safetensors", np.random.default_rng(1), 0
    write_weights(path, ARRAYS)
    original = path.read_bytes()
    for _ in range(500):
        damaged = bytearray(original)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except WeightsError:
            refused += 1
    assert 100 < refused < 500


# -- bfloat16 ------------------------------------------------------------------------------------


def test_bfloat16_rounds_to_nearest_and_ties_to_even():
    values = np.array([1.0, 1.00390625, 1.01171875, -2.5, 1.004], np.float32)
    assert bfloat16_bits(values).tolist() == [0x3F80, 0x3F80, 0x3F82, 0xC020, 0x3F81]


def test_every_bfloat16_survives_widening_and_rounding():
    every = np.arange(2**16, dtype=np.uint16)
    finite = every[np.isfinite(bfloat16_to_float32(every))]
    assert np.array_equal(bfloat16_bits(bfloat16_to_float32(finite)), finite)


def test_bfloat16_of_safetensors_is_widened(tmp_path):
    pytest.importorskip("safetensors")
    content = np.array([0x3F80, 0xC020], "<u2").tobytes()
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    (tmp_path / "m.safetensors").write_bytes(safetensors(header, content))
    assert read_weights(tmp_path / "m.safetensors")["w"].tolist() == [1.0, -2.5]


def test_bfloat16_of_paddle_is_converted_only_when_asked():
    path = DATA / "p331-bf16.pdparams"
    assert read_weights(path)["w"].dtype == np.uint16
    found = read_weights(path, uint16_is_bfloat16=True)["w"]
    assert found[:2].tolist() == [1.0, -2.5]
    assert found[2] == pytest.approx(3e38, rel=2**-8)


# -- matching ------------------------------------------------------------------------------------


def test_a_report_counts_and_names_what_does_not_match():
    expected = {"a": (2, 3), "b": (4,), "c": (1,), "d": ()}
    report = match_weights(expected, {"a": np.ones((2, 3)), "b": np.ones(5), "x": np.ones((2, 2))})
    assert report.matched == ("a",)
    assert report.missing == {"c": (1,), "d": ()}
    assert report.unexpected == {"x": (2, 2)}
    assert report.wrong_shape == {"b": ((5,), (4,))}
    assert not report.fits
    assert report.describe() == (
        "1 of the 4 arrays that the model expects match, 2 missing (c 1, d scalar), "
        "1 unexpected (x 2x2), 1 of another shape (b 5 instead of 4)"
    )


def test_long_lists_are_cut_short():
    report = match_weights({f"w{i}": (i,) for i in range(9)}, {})
    assert report.describe().endswith("9 missing (w0 0, w1 1, w2 2, ...)")


def test_the_nearest_layout_is_named_whatever_its_number_of_classes():
    small = {"stem": (8, 3), "block": (8, 8), "head": (2, 8)}
    layouts = {"Small": small, "Other": {"stem": (8, 3), "neck": (1,), "tail": (2,)}}
    found = {"stem": np.ones((8, 3)), "block": np.ones((8, 8)), "head": np.ones((19, 8))}
    assert nearest_layout(found, layouts) == "Small"
    assert nearest_layout({"x": np.ones(1)}, layouts) is None
    assert nearest_layout(found, {}) is None


# -- loading -------------------------------------------------------------------------------------


def test_weights_arrive_in_the_network_bit_by_bit(network, weights):
    report = load_into(network.state_dict(), weights)
    assert report.fits
    assert report.left_out == ()
    for name, tensor in network.state_dict().items():
        assert tensor.numpy().tobytes() == weights[name].tobytes()


def test_files_of_paddle_fit_the_network_that_wrote_them(network):
    assert load_into(network.state_dict(), read_weights(DATA / "p262-p2.pdparams")).fits


def untouched(network, act):
    before = {name: t.numpy().tobytes() for name, t in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        act()
    assert {name: t.numpy().tobytes() for name, t in network.state_dict().items()} == before
    return str(caught.value)


def test_weights_of_another_model_are_refused_and_nothing_is_changed(network):
    other = {"stem.weight": np.ones((3, 3), np.float32)}
    message = untouched(
        network,
        lambda: load_into(
            network.state_dict(), other, source="x.pdparams", model="Toy", strict=False,
            nearest_model=lambda found: "HRNet" if "stem.weight" in found else None,
        ),
    )  # fmt: skip
    assert message.startswith("x.pdparams: does not fit Toy: 0 of the 6 arrays")
    assert "1 unexpected (stem.weight 3x3). The file looks like HRNet." in message
    assert "Nothing would be loaded" in message


def test_missing_and_unexpected_arrays_are_left_out_by_request_only(network, weights):
    weights["extra"] = weights.pop("1._mean")
    message = untouched(network, lambda: load_into(network.state_dict(), weights))
    assert "1 missing (1._mean 4), 1 unexpected (extra 4)" in message
    report = load_into(network.state_dict(), weights, strict=False)
    assert report.left_out == ("1._mean", "extra")


def with_classes(weights, count):
    head = {"0.weight": np.ones((count, 3, 3, 3), np.float32), "0.bias": np.ones(count, np.float32)}
    return weights | head


def test_another_number_of_classes_needs_the_explicit_word(network, weights):
    nineteen = with_classes(weights, 19)
    message = untouched(
        network,
        # the model is right, so nobody looks for another one
        lambda: load_into(network.state_dict(), nineteen, nearest_model=lambda _: "HRNet"),
    )
    assert "HRNet" not in message
    assert "for 19 classes and the model for 4" in message
    assert "--reset-head" in message
    head = network.state_dict()["0.weight"].numpy()
    report = load_into(network.state_dict(), nineteen, fresh={"0.weight", "0.bias"})
    assert report.left_out == ("0.weight", "0.bias")
    assert np.array_equal(network.state_dict()["0.weight"].numpy(), head)
    assert np.array_equal(network.state_dict()["1.bias"].numpy(), weights["1.bias"])


@pytest.mark.parametrize(
    "change",
    [
        {"0.weight": (4, 2, 3, 3)},
        {"0.weight": (19, 3, 3, 3), "0.bias": (20,)},
        {"0.bias": ()},
        {"0.weight": (19, 3, 3)},
    ],
)
def test_other_shapes_never_pass(network, weights, change):
    wrong = weights | {name: np.ones(shape, np.float32) for name, shape in change.items()}
    message = untouched(
        network,
        lambda: load_into(network.state_dict(), wrong, strict=False),
    )
    assert f"{len(change)} of another shape" in message


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_floats_of_other_widths_become_what_the_network_has(network, weights, dtype):
    converted = {name: a.astype(dtype) for name, a in weights.items()}
    load_into(network.state_dict(), converted)
    found = network.state_dict()["0.weight"].numpy()
    assert found.dtype == np.float32
    assert np.array_equal(found, converted["0.weight"].astype(np.float32))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1, 2, 3, 1e300]), "1 values that are NaN or infinite"),
        (np.array([1, 2, 3, np.nan], np.float32), "1 values that are NaN or infinite"),
        (np.arange(4), "is of int64 and the model has float32"),
        (np.ones(4, bool), "is of bool and the model has float32"),
        (np.ones(4, np.complex64), "is of complex64 and the model has float32"),
        (np.arange(4, dtype=np.uint16), "say uint16_is_bfloat16=True"),
    ],
)
def test_values_that_would_change_are_refused(network, weights, array, said):
    message = untouched(
        network, lambda: load_into(network.state_dict(), weights | {"0.bias": array})
    )
    assert said in message
    assert "0.bias" in message


def test_bfloat16_goes_into_float32_networks_when_asked(network, weights):
    halves = {name: bfloat16_bits(a) for name, a in weights.items()}
    load_into(network.state_dict(), halves, uint16_is_bfloat16=True)
    found = network.state_dict()["0.weight"].numpy()
    assert np.array_equal(found, bfloat16_to_float32(halves["0.weight"]))


@pytest.mark.parametrize("convert", [bfloat16_bits, np.asarray], ids=["bits", "floats"])
def test_networks_in_bfloat16_take_bits_and_floats(paddle, convert):
    state = {"w": paddle.zeros([3], "float32").astype("bfloat16")}
    values = np.array([1.0, -2.5, 0.1], np.float32)
    load_into(state, {"w": convert(values)})
    assert state["w"].numpy().tobytes() == bfloat16_bits(values).tobytes()


def test_integers_that_fit_change_their_width_and_others_are_refused(paddle):
    state = {"n": paddle.zeros([2], "int32")}
    load_into(state, {"n": np.array([3, -4], np.int64)})
    assert state["n"].numpy().tolist() == [3, -4]
    with pytest.raises(WeightsError, match="would change its values"):
        load_into(state, {"n": np.array([3, 2**40], np.int64)})


def test_a_value_that_did_not_arrive_is_noticed(network, weights):
    class Deaf:
        def __init__(self, tensor):
            self.shape, self.dtype, self.numpy = tensor.shape, tensor.dtype, tensor.numpy

        def set_value(self, value):
            pass

    state = dict(network.state_dict())
    state["1.bias"] = Deaf(state["1.bias"])
    with pytest.raises(WeightsError, match=r"'1\.bias' did not arrive"):
        load_into(state, weights)


def test_paddle_itself_loads_what_is_written(paddle, network, weights, tmp_path):
    write_weights(tmp_path / "m.pdparams", weights)
    state = paddle.load(str(tmp_path / "m.pdparams"))
    assert network.set_state_dict(state) == ([], [])
    assert network.state_dict()["0.weight"].numpy().tobytes() == weights["0.weight"].tobytes()


def test_neither_paddle_nor_pickle_is_imported_for_reading():
    program = (
        "import sys, numpy; from pathlib import Path\n"
        "sys.modules['pickle'] = sys.modules['_pickle'] = None  # after NumPy, which imports it\n"
        "from segcore.checkpoint.weights import read_weights\n"
        "read_weights(Path(sys.argv[1])); assert 'paddle' not in sys.modules"
    )
    path = DATA / "p331-p4.pdparams"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)


# -- channels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 6, 7, 12])
def test_a_first_layer_of_other_channels_answers_grey_images_as_before(paddle, channels):
    rng = np.random.default_rng(1)
    kernel = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    layer = paddle.nn.Conv2D(channels, 8, 3, bias_attr=False)
    report = load_into(layer.state_dict(), {"weight": kernel}, any_channels=True)
    assert report.adapted == ("weight",)
    grey = rng.standard_normal((1, 1, 9, 9)).astype(np.float32)
    wanted = paddle.nn.functional.conv2d(
        paddle.to_tensor(grey.repeat(3, axis=1)), paddle.to_tensor(kernel)
    )
    found = layer(paddle.to_tensor(grey.repeat(channels, axis=1)))
    # sums of at most 108 products in another order
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_further_channels_take_the_kernels_of_the_colours_in_turn():
    kernel = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1) + 1
    arrays, _ = adapt_channels({"weight": (1, 7, 1, 1)}, {"weight": kernel})
    np.testing.assert_allclose(arrays["weight"].ravel(), [1 / 3, 1, 1.5, 1 / 3, 1, 1.5, 1 / 3])


def test_other_shapes_are_not_taken_for_first_layers():
    arrays = {"a": np.ones((4, 3, 3, 3), np.float32), "b": np.ones((4, 3), np.float32)}
    expected = {"a": (4, 8, 5, 5), "b": (4, 8)}
    assert adapt_channels(expected, arrays) == (arrays, ())


def test_channels_are_adapted_only_where_that_is_asked_for(paddle):
    layer = paddle.nn.Conv2D(4, 8, 3, bias_attr=False)
    kernel = np.ones((8, 3, 3, 3), np.float32)
    with pytest.raises(WeightsError, match="8x3x3x3 instead of 8x4x3x3"):
        load_into(layer.state_dict(), {"weight": kernel})
