import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.discovery.find import (
    FoundPlugin,
    _accepts,
    _accepts_by_packaging,
    find_plugins,
    incompatibility,
)
from segcore.testing.site import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


def names(*folders):
    return [plugin.name for plugin in find_plugins(map(str, folders))]


def requiring(*lines):
    return FoundPlugin(
        name="p", value="p", distribution="segcore-p", version="1.0", requirements=lines
    )


def test_plugins_come_in_the_order_of_their_distributions(site):
    for name in ("b", "c", "a"):
        site.install(name, None)
    assert names(site.folder) == ["a", "b", "c"]


def test_finding_imports_nothing(site):
    site.install("never_imported", "raise AssertionError")
    assert names(site.folder) == ["never_imported"]
    assert "never_imported" not in sys.modules


def test_the_metadata_is_read(site):
    site.install("p", None, requires=["segcore>=0.1,<2", "segcore-other>=3", "numpy"])
    (plugin,) = find_plugins([str(site.folder)])
    assert (plugin.distribution, plugin.version) == ("segcore-p", "1.0")
    assert plugin.requirements == ("segcore>=0.1,<2",)


def test_of_a_distribution_installed_twice_the_first_counts(site, tmp_path):
    other = Site(tmp_path / "other")
    site.install("p", None, version="1.0")
    other.install("p", None, version="2.0")
    (plugin,) = find_plugins([str(other.folder), str(site.folder)])
    assert plugin.version == "2.0"


def test_a_place_that_is_not_there_is_passed_over(site, tmp_path):
    site.install("p", None)
    assert names(tmp_path / "nowhere", site.folder) == ["p"]


def test_plugins_in_an_archive_are_found(site, tmp_path):
    import shutil

    site.install("p", None)
    archive = shutil.make_archive(str(tmp_path / "plugins"), "zip", site.folder)
    assert names(archive) == ["p"]


def test_the_older_layout_of_metadata_is_read(tmp_path):
    folder = tmp_path / "segcore_old.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: segcore-old\nVersion: 3\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("[segcore.plugins]\nold = old:thing\n", "utf-8")
    (plugin,) = find_plugins([str(tmp_path)])
    assert (plugin.distribution, plugin.version, plugin.value) == ("segcore-old", "3", "old:thing")


def test_other_groups_and_comments_are_passed_over(site):
    site.install("p", None)
    text = "[console_scripts]\nx = y:z\n# [segcore.plugins]\n[segcore.plugins]\n;c\nq = r [extra]\n"
    site.write(site.folder / "segcore_p-1.0.dist-info" / "entry_points.txt", text)
    (plugin,) = find_plugins([str(site.folder)])
    assert (plugin.name, plugin.value) == ("q", "r")


@pytest.mark.parametrize(
    "line", ["segcore>=0.1,<0.2", "segcore", "segcore[cpu]~=0.1.0", "Segcore (>=0.1)", "segcore>=0"]
)
def test_a_requirement_that_holds_is_accepted(line):
    assert incompatibility(requiring(line), "0.1.0") is None


@pytest.mark.parametrize("line", ["segcore>=0.2", "segcore<0.1", "segcore==1.*", "segcore ~~ 1"])
def test_a_requirement_that_does_not_hold_is_named(line):
    reason = incompatibility(requiring(line), "0.1.0")
    assert line in reason
    assert "pip install --upgrade segcore-p" in reason


def test_a_requirement_for_another_python_does_not_count():
    assert incompatibility(requiring("segcore>=9; python_version<'3'"), "0.1.0") is None


def test_a_prerelease_of_the_core_counts_as_its_version():
    assert incompatibility(requiring("segcore>=0.1"), "0.2.0.dev1") is None


versions = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
    lambda numbers: ".".join(map(str, numbers))
)
clauses = st.lists(st.tuples(st.sampled_from([">=", "<=", "==", "!=", "<", ">"]), versions))


@given(clauses, versions)
def test_plain_requirements_are_judged_as_packaging_does(bounds, version):
    line = "segcore" + ",".join(sign + bound for sign, bound in bounds)
    assert _accepts(line, version) == _accepts_by_packaging(line, version)
