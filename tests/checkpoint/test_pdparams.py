"""The reader and writer of Paddle's pickles: real files, odd files, damaged files."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.checkpoint.pdparams import Limits, decode, encode
from segcore.errors import WeightsError
from segcore.integer_key import KEY_LIMIT

DATA = Path(__file__).parent / "data"
VERSIONS = ["p262", "p311", "p331"]
FILES = sorted(path.name for path in DATA.glob("*.pd*"))


def dumps(tree, protocol=4):
    return pickle.dumps(tree, protocol)


@pytest.fixture(scope="module")
def truth():
    with np.load(DATA / "truth.npz") as arrays:
        return dict(arrays)


def test_there_is_a_file_of_every_kind_from_every_version():
    assert len(FILES) == len(VERSIONS) * (3 * 3 + 1)
    assert all((DATA / name).stat().st_size < 4096 for name in FILES)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_weights_written_by_paddle_are_read_bit_by_bit(version, protocol, truth):
    found = decode(DATA / f"{version}-p{protocol}.pdparams")
    assert list(found.arrays()) == list(truth)
    for name, value in truth.items():
        assert found.arrays()[name].dtype == value.dtype
        assert found.arrays()[name].tobytes() == value.tobytes()
    assert found.names["1._variance"] == "batch_norm2d_0.w_2"


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_optimizer_state_written_by_paddle_is_read(version, protocol):
    tree = decode(DATA / f"{version}-p{protocol}.pdopt").tree
    assert tree["LR_Scheduler"]["last_epoch"] == 2
    assert tree["LR_Scheduler"]["last_lr"] == pytest.approx(0.009802, rel=1e-9)
    assert tree["batch_norm2d_0.b_0_velocity_0"].tolist() == [np.float32(0.475)] * 4


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_nested_checkpoints_written_by_paddle_are_read(version, protocol, truth):
    found = decode(DATA / f"{version}-p{protocol}.pdstates")
    assert found.tree["model"]["0.weight"].tobytes() == truth["0.weight"].tobytes()
    assert found.tree["tags"] == ["a", ("b", 2)]
    assert (found.tree["epoch"], found.tree["score"], found.tree["np"]) == (3, 0.5, 0.25)
    assert found.tree["empty"].shape == (0, 3)
    assert found.tree["zero_d"].shape == ()
    assert found.names["model.0.weight"] == "conv2d_0.w_0"


# 2.6.2 cuts 3e38 off where the later versions round it.
@pytest.mark.parametrize(("version", "last"), [("p262", 32609), ("p311", 32610), ("p331", 32610)])
def test_bfloat16_stays_the_uint16_that_paddle_stores(version, last):
    found = decode(DATA / f"{version}-bf16.pdparams").tree["w"]
    assert found.dtype == np.uint16
    assert found.tolist() == [16256, 49184, last]


@pytest.mark.parametrize("name", FILES)
def test_what_is_read_can_be_written_and_read_again(name):
    once = encode(decode(DATA / name).tree)
    assert encode(decode(once).tree) == once


# -- conventions of the format -------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
def test_arrays_that_were_split_are_joined(protocol):
    whole = np.arange(24, dtype=np.float32)
    entry = {"OriginShape": (2, 3, 4), "slices": ["w@@.0", "w@@.1"]}
    tree = {"w@@.0": whole[:15], "w@@.1": whole[15:], "UnpackBigParamInfor@@": {"w": entry}}
    found = decode(dumps(tree, protocol)).arrays()
    assert list(found) == ["w"]
    assert np.array_equal(found["w"], whole.reshape(2, 3, 4))


@pytest.mark.parametrize(
    "entry",
    [
        {"OriginShape": (4,), "slices": ["w@@.0", "w@@.0"]},
        {"OriginShape": (5,), "slices": ["w@@.0"]},
        {"OriginShape": (-1,), "slices": ["w@@.0"]},
        {"OriginShape": (2**40, 2**40), "slices": ["w@@.0"]},
        {"OriginShape": (2,), "slices": []},
        {"OriginShape": (2,), "slices": ["gone"]},
        {"OriginShape": 2, "slices": ["w@@.0"]},
        {"slices": [["w@@.0"]]},
        "w@@.0",
    ],
)
def test_slices_that_do_not_belong_together_are_refused(entry):
    tree = {"w@@.0": np.zeros(2, np.float32), "UnpackBigParamInfor@@": {"w": entry}}
    with pytest.raises(WeightsError, match="w"):
        decode(dumps(tree))


class StaticTensor:
    """Pickles as tensors of Paddle's static graph do."""

    def __reduce__(self):
        return eval, ("data", {"data": np.arange(3.0)})


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_static_graph_tensors_are_read_without_evaluating_anything(protocol):
    assert decode(dumps({"w": StaticTensor()}, protocol)).tree["w"].tolist() == [0, 1, 2]


def test_byte_strings_of_python_2_are_read():
    # What Python 2 and NumPy 1 wrote: str for the content, no memo, "U" and "T" opcodes.
    content = np.array([1.5, -2.0], "<f4").tobytes()
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\x01btR"
    state = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    dtype = b"cnumpy\ndtype\n(U\x02f4\x89\x88tR" + state
    data = b"\x80\x02}U\x01w" + head + b"(K\x01K\x02\x85" + dtype
    data += b"\x89U\x08" + content + b"tbs."
    assert decode(data).tree["w"].tolist() == [1.5, -2.0]


def test_an_array_that_two_names_share_is_read_once():
    shared = np.ones(5)
    tree = decode(dumps({"a": shared, "b": shared})).tree
    assert tree["a"] is tree["b"]


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24)[::3],
        np.array(1.5, np.float16),
        np.zeros((3, 0, 2)),
        np.array([True, False]),
        np.array([1 + 2j], np.complex64),
        np.arange(3, dtype=np.uint16),
    ],
    ids=lambda a: f"{a.dtype.str}-{'x'.join(map(str, a.shape))}",
)
@pytest.mark.parametrize("protocol", [2, 4, "ours"])
def test_arrays_become_native_and_c_ordered_with_the_same_values(value, protocol):
    data = encode({"w": value}) if protocol == "ours" else dumps({"w": value}, protocol)
    found = decode(data).tree["w"]
    assert found.dtype == value.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert np.array_equal(found, value)
    assert found.shape == value.shape


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0JFIF", "a JPEG image"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x00" * 50, "begins with 00 00 00 00"),
        (b"\x80\x04", "ends early"),
        (b"\x80\x05.", "protocol 5"),
        (dumps([1]), "a list where a dictionary belongs"),
        (dumps({"w": b"bytes"}), "neither|no array"),
        (dumps({"w": {1, 2}}), "opcode"),
        (dumps({"w": np.array(["a"])}), "dtype 'U1'"),
        (dumps({1.5: 0}), "as a key"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_other_files_are_refused_by_what_they_are(data, said):
    with pytest.raises(WeightsError, match=said) as caught:
        decode(data, source="x.pdparams")
    assert str(caught.value).startswith("x.pdparams: ")


def test_a_nested_checkpoint_has_no_flat_arrays():
    state = decode(DATA / "p331-p4.pdstates")
    with pytest.raises(WeightsError, match=r"p331-p4.pdstates: 'model' is a dict .*model, opt"):
        state.arrays()


def test_every_truncation_of_a_real_file_is_refused():
    data = (DATA / "p331-p4.pdparams").read_bytes()
    for size in range(len(data)):
        with pytest.raises(WeightsError):
            decode(data[:size])


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(max_bytes=100), "more than 100|up to 100"),
        (Limits(max_opcodes=20), "more than 20 opcodes"),
        (Limits(max_values=3), "more than 3 values"),
        (Limits(max_depth=1), "more than 1 levels"),
    ],
)
def test_limits_are_kept(limits, said):
    with pytest.raises(WeightsError, match=said):
        decode(DATA / "p331-p4.pdstates", limits)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "No such file"),
        ("", "not a regular"),
        ("pipe", "not a regular"),
        ("\0", "can hold such characters"),
    ],
)
def test_what_is_no_file_is_refused_without_waiting(tmp_path, name, said):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match=said):
        decode(tmp_path / name)


# -- writing -------------------------------------------------------------------------------------


def trees():
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**200), 2**200)
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    )
    numbers = st.integers(1 - KEY_LIMIT, KEY_LIMIT - 1)
    keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | numbers
    inner = st.recursive(
        leaves, lambda s: st.lists(s) | st.dictionaries(keys, s) | st.tuples(s, s), max_leaves=15
    )
    return st.dictionaries(st.text("abc.", min_size=1, max_size=5), inner, max_size=5)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_trees_survive_writing_and_python_reads_them_too(tree):
    data = encode(tree)
    assert decode(data).tree == tree == pickle.loads(data)


@settings(max_examples=100, deadline=None)
@given(trees(), st.sampled_from([2, 3, 4]))
def test_trees_written_by_python_are_read(tree, protocol):
    assert decode(dumps(tree, protocol)).tree == tree


def test_equal_content_gives_equal_bytes():
    name = "".join(["lay", "er"])
    assert encode({"a": [name, name]}) == encode({"a": ["layer", "lay" + "er"[:]]})
    assert encode({"w": np.zeros((2, 3))}) == encode({"w": np.zeros((3, 2)).T})


@pytest.mark.parametrize(
    "value", [b"x", {1}, object(), np.array(["a"]), np.array([None]), "\ud800", 2**5000]
)
def test_what_the_format_cannot_hold_is_refused_with_its_name(value):
    with pytest.raises(WeightsError, match=r"group\.value"):
        encode({"group": {"value": value}})


def test_a_tree_that_contains_itself_is_refused():
    tree = {}
    tree["self"] = tree
    with pytest.raises(WeightsError, match="too deep"):
        encode(tree)


def test_a_table_of_names_has_to_be_complete():
    assert decode(encode({"w": np.ones(1)}, {"w": "p_0"})).names == {"w": "p_0"}
    with pytest.raises(WeightsError, match="differ in v"):
        encode({"w": np.ones(1), "v": np.ones(1)}, {"w": "p_0"})


# -- damage --------------------------------------------------------------------------------------


def mutated(seed, originals):
    """Change a few bytes of a real file: values, opcodes, lengths, order."""
    rng = np.random.default_rng(seed)
    data = bytearray(originals[rng.integers(len(originals))])
    for _ in range(rng.integers(1, 6)):
        at, kind = int(rng.integers(len(data))), rng.integers(5)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 20))]
        elif kind == 3:
            data[at:at] = data[at // 2 : at // 2 + int(rng.integers(1, 30))]
        else:
            # Opcodes of the format, where they do most: duplicated and out of place.
            data[at] = b"}]()(tubRsaeNKJMXCGqhc."[int(rng.integers(22))]
        if not data:
            data = bytearray(b"\x80")
    return bytes(data)


def is_refused(data):
    try:
        decode(data)
    except WeightsError:
        return True
    return False


def count_refused(count):
    originals = [(DATA / name).read_bytes() for name in FILES]
    return sum(is_refused(mutated(seed, originals)) for seed in range(count))


def test_damaged_files_load_or_are_refused_and_nothing_else():
    # A fuzzer of which all or none passes would test nothing.
    assert 1_500 < count_refused(3_000) < 2_900


@pytest.mark.slow
def test_many_damaged_files_load_or_are_refused_and_nothing_else():
    assert 30_000 < count_refused(60_000) < 58_000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_after_the_header_are_refused_and_nothing_else(data):
    with pytest.raises(WeightsError):
        decode(b"\x80\x04" + data + b"\x00")
