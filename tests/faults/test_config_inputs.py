"""Configurations that are wrong or hostile: refused with exit code 2, one message and no harm.

The numbers are those of the table of inputs in the reliability contract, rows 50 to 60.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segcore.cli.main import run
from segcore.config.load import parse_document, read_yaml
from segcore.config.render import render_config
from segcore.config.resolve import find_problems, merge_sources, resolve_config
from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{inner}'] * 9)}]\n"
    for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MANY_ALIASES = "a: &a 1\nb: [" + ", ".join(["*a"] * 101) + "]"
WIDE_ALIASES = "a: &a [" + "1, " * 5000 + "]\nb: [*a, *a, *a]"

REFUSED = {
    "50 unknown key": ("train: {itres: 5}", "train.itres: unknown key; did you mean 'iters'?"),
    "50 wrong level": ("iters: 5", "iters: unknown key; did you mean train.iters?"),
    "50 unknown section": ("trian: {iters: 5}", "trian: unknown key; did you mean 'train'?"),
    "50 option": (
        "train: {losses: [{type: DiceLoss, ignore_indx: 3}]}",
        "train.losses.0.ignore_indx: unknown key; did you mean 'ignore_index'?",
    ),
    "51 text for number": ("train: {iters: many}", "train.iters = 'many': must be a whole number"),
    "51 list for scalar": ("train: {seed: [1]}", "train.seed = [1]: must be a whole number"),
    "51 scalar for list": ("train: {crop_size: 512}", "train.crop_size = 512: must be a list"),
    "51 fraction": ("train: {iters: 1.5}", "train.iters = 1.5: must be a whole number"),
    "51 number for text": ("data: {path: 5}", "data.path = 5: must be text"),
    "51 truth for number": ("train: {iters: true}", "train.iters = True: must be a whole number"),
    "51 negative": ("train: {iters: -1}", "train.iters = -1: must be greater than or equal to 1"),
    "51 nan": ("train: {learning_rate: .nan}", "train.learning_rate = nan: must be"),
    "51 infinite": ("train: {learning_rate: .inf}", "train.learning_rate = inf: must be finite"),
    "51 overflow": ("train: {learning_rate: 1e999}", "train.learning_rate = inf: must be finite"),
    "51 huge": ("train: {seed: " + "9" * 40 + "}", "must be less than 2147483648"),
    "51 endless": ("train: {seed: " + "9" * 5000 + "}", "a number of 5000 digits"),
    "53 no for truth": ("data: {first_frame: no}", "data.first_frame = 'no': must be true or"),
    "53 clock for number": ("train: {iters: 1:30}", "train.iters = '1:30': must be a whole number"),
    "54 duplicate": (
        "train:\n  iters: 1\n  seed: 2\n  iters: 3",
        "line 2 already, and again in li",
    ),
    "55 python name": ("train: !!python/name:os.system", "!!python/name:os.system is refused"),
    "55 python call": (
        "train: !!python/object/apply:os.system ['touch hacked']",
        "!!python/object/apply:os.system is refused",
    ),
    "55 python module": ("train: !!python/module:this", "tag !!python/module:this is refused"),
    "55 on a key": ("!!python/name:os.system x: 1", "!!python/name:os.system is refused"),
    "56 laughs": (LAUGHS, "aliases grow to more than 10000 values"),
    "56 many aliases": (MANY_ALIASES, "more than 100 aliases"),
    "56 wide aliases": (WIDE_ALIASES, "aliases grow to more than 10000 values"),
    "56 cycle": ("a: &a {b: *a}", "the alias *a contains itself"),
    # some versions of PyYAML have a limit of their own, which these reach before ours
    "56 lists": ("a: " + "[" * 60 + "]" * 60, "nested more than 50 levels"),
    "56 mappings": ("a: " + "{a: " * 60 + "}" * 60, "nested more than 50 levels"),
    "56 blocks": ("- " * 60, "nested more than 50 levels"),
    "56 deep lists": ("a: " + "[" * 20_000, "c.yaml:1: "),
    "56 deep mappings": ("a: " + "{a: " * 20_000, "c.yaml:1: "),
    "56 deep blocks": ("- " * 20_000, "c.yaml:1: "),
    "56 large": ("a: " + "x" * (1 << 20), "larger than 1048576 bytes"),
    "57 empty": ("", "is empty"),
    "57 comment": ("# nothing\n", "is empty"),
    "57 null": ("null", "is empty"),
    "57 list": ("- train", "must be a mapping of keys to values, but is a list"),
    "57 scalar": ("train", "but is the value 'train'"),
    "57 two documents": ("train: {}\n---\ndata: {}", "a second document starts here"),
    "57 binary": (b"\x7fELF\x02\x01\x01\x00\x00", "is not YAML text"),
    "57 image": (b"\x89PNG\r\n\x1a\n\x00", "byte 0x89 is not UTF-8"),
    "57 utf-16": ("train: {}".encode("utf-16"), "is UTF-16"),
    "57 latin-1": (b"train:\n  # caf\xe9\n", ":2: byte 0xe9 is not UTF-8"),
    "57 tabs": ("train:\n\titers: 1", ":2: a tab stands where YAML wants spaces"),
    "57 tabs after spaces": ("train:\n  iters: 1\n\tseed: 1", ":3: a tab stands where"),
    "59 missing": ("_base_: none.yaml", "there is no file"),
    "59 outside": ("_base_: ../../../etc/passwd", "leads out of the folder"),
    "59 absolute": ("_base_: /etc/passwd", "leads out of the folder"),
    "59 itself": ("x: 1\n_base_: c.yaml", "c.yaml:2: _base_: the includes run in a circle"),
    "59 with a NUL": ('_base_: "a\\0b"', "not a usable path"),
    "59 folder": ("_base_: .", "not a regular file but a folder"),
    "60 newer": ("version: 2\nnew_key: 1", "c.yaml:1: version = 2: was written for a newer segco"),
    "60 older": ("version: 0", "to migrate"),
    "60 no number": ("version: latest", "version = 'latest': must be 1"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_wrong_file_ends_with_2_and_one_message(row, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content, said = REFUSED[row]
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code = run(["config", "check", str(path)])
    message = capsys.readouterr().err
    assert code == 2
    assert said in message
    assert "Traceback" not in message
    assert sorted(tmp_path.iterdir()) == [path]


def test_52_exponents_without_a_point_are_numbers():
    assert parse_document("a: 1e-4\nb: -1E+3", "c").data == {"a": 1e-4, "b": -1000.0}


def test_53_words_of_yaml_1_1_are_text_and_zeros_no_octals():
    data = parse_document("on: no\na: yes\nb: 012\nc: 1:30\nd: Off", "c").data
    assert data == {"on": "no", "a": "yes", "b": 12, "c": "1:30", "d": "Off"}


@pytest.mark.parametrize("row", [row for row in REFUSED if row.startswith("56")])
def test_56_bombs_cost_less_than_a_second_of_processor_time(row, tmp_path):
    # processor time and not wall-clock time, which a busy machine stretches; they take 1 to 30 ms
    path = tmp_path / "c.yaml"
    path.write_text(REFUSED[row][0])
    before = time.process_time()
    with pytest.raises(ConfigError):
        read_yaml(path)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    "code",
    ["__import__('os').system('touch hacked')", "!!python/name:os.system", "$(touch hacked)"],
)
def test_58_the_value_of_an_option_is_never_evaluated(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        resolve_config(None, None, [f"train.iters={code}"], {}, get_catalogue())
    assert "must be a whole number" in str(caught.value) or "is refused" in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_58_bytes_that_are_no_text_are_refused():
    with pytest.raises(ConfigError, match="not Unicode text"):
        merge_sources(None, None, ["data.path=\udcff"], {}, get_catalogue())


def test_58_code_in_a_text_option_stays_text():
    layers = merge_sources(None, None, ["data.path=__import__('os').getcwd()"], {}, get_catalogue())
    assert layers.data["data"]["path"] == "__import__('os').getcwd()"


def test_59_a_loop_is_shown_with_its_chain(tmp_path):
    for name, base in {"a": "b", "b": "c", "c": "a"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"_base_: {base}.yaml")
    with pytest.raises(ConfigError) as caught:
        merge_sources(None, tmp_path / "a.yaml", (), {}, get_catalogue())
    chain = " -> ".join(str(tmp_path / f"{name}.yaml") for name in "abca")
    assert chain in str(caught.value)


def test_55_the_payload_does_run_on_an_unsafe_loader(tmp_path, monkeypatch):
    """Prove that the rows of number 55 would notice a loader that obeys tags."""
    monkeypatch.chdir(tmp_path)
    yaml.load(REFUSED["55 python call"][0], Loader=yaml.UnsafeLoader)
    assert (tmp_path / "hacked").exists()


def test_56_the_bomb_does_grow_on_a_naive_walk():
    """Prove that the bomb is one: shared lists that are small until somebody walks them."""

    def grow(node):
        if id(node) not in sizes:
            sizes[id(node)] = 1 + sum(map(grow, node)) if isinstance(node, list) else 1
        return sizes[id(node)]

    sizes = {}
    tree = yaml.safe_load(LAUGHS)
    assert sum(map(grow, tree.values())) > 100_000_000


def test_a_bomb_does_not_need_memory(tmp_path):
    """Read the bombs in a process that may have 1 GiB and 10 s of processor time."""
    paths = []
    for number, row in enumerate(row for row in REFUSED if row.startswith("56")):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(REFUSED[row][0])

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))

    code = "import sys; from segcore.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "config", "check", *map(str, paths)],
        preexec_fn=limit,
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr


# Text that is often nearly YAML: far more of it gets past the parser than of random text.
PIECES = st.sampled_from(
    (
        *"[]{}'\"\t#é\x00\n",
        "train",
        "iters",
        "type",
        ": ",
        "\n  ",
        "- ",
        ", ",
        "&a ",
        "*a",
        "!!str ",
        "1e-4",
        "12",
        "null",
        "true",
        "---\n",
        "<<",
        "_base_",
    )
)
KEYS = st.sampled_from(
    [*Config.model_fields, *Config.model_fields["train"].annotation.model_fields, "tipe", "type", 3]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
MANY = settings(QUICK, max_examples=2000)


def refusal(text):
    """Give the message that `text` is refused with, "" when it is read."""
    try:
        parse_document(text, "c.yaml")
    except ConfigError as error:
        return str(error)
    return ""


def any_data_is_accepted_or_refused(data, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(render_any(data), encoding="utf-8")
    try:
        layers = merge_sources(None, path, (), {"model.name": "Net"}, get_catalogue())
        config, problems = find_problems(layers, get_catalogue(), needs_model=False)
    except ConfigError:
        return
    # the model Net does not exist here, which is the one problem that is always there
    assert [problem for problem in problems if problem.key == "model.name"]
    if config is not None:
        text = render_config(config, layers.origins())
        assert repr(Config.model_validate(parse_document(text, "c").data)) == repr(config)


def render_any(data):
    from segcore.config.render import _flow

    return "\n".join(f"{_flow({key: value})[1:-1]}" for key, value in data.items()) or "{}"


@QUICK
@given(st.lists(PIECES, max_size=40).map("".join))
def test_text_like_yaml_is_read_or_refused(text):
    assert not refusal(text) or refusal(text).startswith("c.yaml")


@pytest.mark.slow
@MANY
@given(st.lists(PIECES, max_size=60).map("".join) | st.text() | st.binary().map(repr))
def test_much_text_like_yaml_is_read_or_refused(text):
    assert not refusal(text) or refusal(text).startswith("c.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("configs")


@QUICK
@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_data_is_a_configuration_or_refused(data, folder):
    any_data_is_accepted_or_refused(data, folder)


@pytest.mark.slow
@MANY
@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_much_data_is_a_configuration_or_refused(data, folder):
    any_data_is_accepted_or_refused(data, folder)
