import pytest

from segcore import hookspecs
from segcore.discovery.catalogue import BUILTIN, Catalogue, Entry, get_catalogue
from segcore.discovery.find import FoundPlugin
from segcore.discovery.load import Plugin, load_plugin
from segcore.discovery.verify import DECLARING_HOOKS
from segcore.errors import (
    AmbiguousNameError,
    PluginBrokenError,
    PluginMissingError,
    UnknownNameError,
)
from segcore.specs import LossSpec, ModelSpec


def plugin(distribution, *specs, status="ok", reason=None):
    found = FoundPlugin(
        name=distribution, value="nowhere", distribution=distribution, version="1.0"
    )
    return Plugin(found=found, status=status, reason=reason, specs=specs)


def model(name, *aliases):
    return ModelSpec(name=name, target="nowhere:Net", aliases=aliases)


def test_every_declaring_hook_has_a_registry():
    hooks = {name for name in vars(hookspecs) if name.startswith("segcore_")}
    assert hooks - {"segcore_build_model"} == set(DECLARING_HOOKS)
    assert set(Catalogue([]).registries()) == {
        hook.removeprefix("segcore_") for hook in DECLARING_HOOKS
    }


@pytest.mark.parametrize(
    "spelling", ["PP-LiteSeg-T", "pp_liteseg_t", "PPLITESEG T", "fine", "x/PP-LiteSeg-T", "X/fine"]
)
def test_case_and_punctuation_do_not_matter(spelling):
    models = Catalogue([plugin("x", model("PP-LiteSeg-T", "Fine"))]).models
    assert models.find(spelling).name == "PP-LiteSeg-T"
    assert spelling in models


def test_an_alias_that_another_plugin_has_as_a_name_is_ambiguous():
    models = Catalogue([plugin("x", model("A", "B")), plugin("y", model("B"))]).models
    with pytest.raises(AmbiguousNameError, match="write x/A or y/B"):
        models.find("b")


def test_names_that_clash_are_listed_qualified():
    models = Catalogue([plugin("x", model("A"), model("C")), plugin("y", model("A"))]).models
    assert models.names() == ["C", "x/A", "y/A"]
    assert all(models.find(name) for name in models.names())


def test_an_unknown_name_comes_with_the_nearest():
    models = Catalogue([plugin("x", model("DeepNet"), model("Other"))]).models
    with pytest.raises(UnknownNameError, match=r"no model 'DepNet'; did you mean 'DeepNet'\?"):
        models.find("DepNet")


def test_a_model_of_a_first_party_plugin_comes_with_the_line_that_installs_it():
    models = Catalogue([]).models
    with pytest.raises(PluginMissingError, match=r"run: pip install segcore-pplite$"):
        models.find("pp-liteseg-t")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("DeepLabv3p-MobileNetV2-x0.25", "DeepLabv3p-MobileNetV2_x0.25"),
        ("DeepLabv3_MobileNetV3_large_x1_0_ssld", "DeepLabv3p-MobileNetV3_large_x1_0"),
        ("SegFormer-B0 (slice)", "SegFormer-B0"),
        ("SeaFormer_base(slice)", "SeaFormer_base"),
        ("segcore-transformers/MaskFormer-tiny", "MaskFormer_tiny"),
    ],
)
def test_spellings_of_the_documents_lead_to_the_canonical_name(spelling, name):
    with pytest.raises(PluginMissingError, match=f"model {name!r}"):
        Catalogue([]).models.find(spelling)


def test_those_spellings_find_the_model_once_it_is_installed():
    models = Catalogue([plugin("segcore-transformers", model("SegFormer-B0"))]).models
    assert "SegFormer_B0(slice)" in models
    assert models.find("segformer_b0 (slice)").name == "SegFormer-B0"


def test_a_first_party_plugin_that_is_broken_says_why():
    broken = plugin("segcore-pplite", status="broken", reason="it fell over")
    with pytest.raises(PluginBrokenError, match=r"segcore-pplite 1.0, .*: it fell over"):
        Catalogue([broken]).models.find("PP-LiteSeg-T")


def test_a_first_party_plugin_that_is_switched_off_says_so():
    off = plugin("segcore-pplite", status="disabled", reason="switched off")
    with pytest.raises(PluginBrokenError, match="switched off; switch it on again"):
        Catalogue([off]).models.find("PP-LiteSeg-T")


def test_a_first_party_plugin_too_old_to_offer_it_says_so():
    with pytest.raises(PluginBrokenError, match="pip install --upgrade segcore-pplite"):
        Catalogue([plugin("segcore-pplite", model("Other"))]).models.find("PP-LiteSeg-T")


def test_a_qualified_name_of_a_plugin_that_is_gone_says_how_to_get_it_back():
    with pytest.raises(PluginMissingError, match=r"run: pip install strange-networks$"):
        Catalogue([]).models.find("strange-networks/Net")


@pytest.mark.parametrize("name", ["../Net", "./Net", "/tmp/Net", "~/Net", "a/b/Net", "a b/Net"])
def test_nobody_is_told_to_install_a_path(name):
    with pytest.raises(UnknownNameError, match=f"there is no model '{name}'"):
        Catalogue([]).models.find(name)


def test_a_qualified_name_with_a_misspelt_distribution_comes_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'segcore-pplite/Net'"):
        Catalogue([]).models.find("segcore-pplte/Net")


def test_a_qualified_name_of_a_broken_plugin_says_why():
    broken = plugin("strange", status="broken", reason="it fell over")
    with pytest.raises(PluginBrokenError, match="it fell over"):
        Catalogue([broken]).models.find("strange/Net")


def test_segcores_own_name_wins_and_the_clash_is_reported():
    own = Plugin(found=BUILTIN, status="ok", specs=(LossSpec(name="DiceLoss", target="a:b"),))
    thief = plugin("thief", LossSpec(name="diceloss", target="c:d"))
    catalogue = Catalogue([own, thief])
    assert catalogue.losses.find("DiceLoss").plugin is own
    assert catalogue.losses.names() == ["DiceLoss", "thief/diceloss"]
    assert len(catalogue.problems()) == 1


def test_the_catalogue_is_read_once():
    assert get_catalogue() is get_catalogue()


def test_a_switched_off_plugin_is_not_loaded(monkeypatch):
    monkeypatch.setenv("SEGCORE_DISABLE_PLUGINS", "segcore_pplite, other")
    models = get_catalogue().models
    assert "segcore-pplite/PP-LiteSeg-T" not in models


def test_keyboard_interrupt_is_not_contained(tmp_path, monkeypatch):
    (tmp_path / "interrupted_plugin.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = FoundPlugin(
        name="i",
        value="interrupted_plugin",
        distribution="i",
        version="1",
        requirements=("segcore",),
    )
    with pytest.raises(KeyboardInterrupt, match="--no-plugin i leaves it out"):
        load_plugin(found, "0.1.0")


def test_an_entry_knows_its_qualified_name():
    assert Entry(model("A"), plugin("x")).qualified == "x/A"
