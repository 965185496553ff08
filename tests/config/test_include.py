import pytest

from segcore.config.include import MAX_FILES, read_with_bases
from segcore.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write_one(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_one


def test_bases_come_before_the_file_that_names_them(write):
    write("a.yaml", "x: 1")
    write("sub/b.yaml", "_base_: c.yaml\nx: 2")
    write("sub/c.yaml", "x: 3")
    top = write("top.yaml", "_base_: [a.yaml, sub/b.yaml]\nx: 4")
    assert [document.data for document in read_with_bases(top)] == [
        {"x": 1},
        {"x": 3},
        {"x": 2},
        {"x": 4},
    ]


def test_one_base_may_be_named_twice_without_being_a_loop(write):
    write("a.yaml", "x: 1")
    write("b.yaml", "_base_: a.yaml")
    top = write("top.yaml", "_base_: [a.yaml, b.yaml]")
    assert len(read_with_bases(top)) == 4


def test_includes_that_multiply_are_stopped(write):
    for number in range(12):
        write(f"{number}.yaml", f"_base_: [{number + 1}.yaml, {number + 1}.yaml]")
    write("12.yaml", "x: 1")
    with pytest.raises(ConfigError, match=f"more than {MAX_FILES} files"):
        read_with_bases(write("top.yaml", "_base_: 0.yaml"))


@pytest.mark.parametrize("value", ["3", "[1]", "{a: b}", '""', "null"])
def test_a_base_that_is_no_path_is_refused(write, value):
    with pytest.raises(ConfigError, match=r"top\.yaml:2: _base_ = .*must be a path"):
        read_with_bases(write("top.yaml", f"x: 1\n_base_: {value}"))


def test_a_link_that_leads_outside_is_outside(write, tmp_path):
    write("secret.yaml", "x: 1")
    top = write("in/top.yaml", "_base_: link.yaml")
    (tmp_path / "in" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(ConfigError, match="leads out of the folder"):
        read_with_bases(top)
