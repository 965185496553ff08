import json

import pytest

from segcore.config.json_schema import config_json_schema


@pytest.fixture
def schema(catalogue):
    return json.loads(json.dumps(config_json_schema(catalogue), allow_nan=False))


def case(rules, name):
    """Give what holds where the name is `name`."""
    return next(rule["then"] for rule in rules if name in json.dumps(rule["if"]))


def test_names_of_the_catalogue_are_offered_and_not_enforced(schema):
    items = schema["$defs"]["TrainConfig"]["properties"]["transforms"]["items"]
    assert items == {"$ref": "#/$defs/transforms.item"}
    offer = schema["$defs"]["transforms.item"]["properties"]["type"]["anyOf"]
    assert {"Crop", "Flip", "Stranger"} < set(offer[0]["enum"])
    assert offer[1] == {"type": "string"}


def test_options_of_a_component_are_known_by_its_name(schema):
    then = case(schema["$defs"]["transforms.item"]["allOf"], "Crop")
    assert then["properties"]["prob"] == {"$ref": "#/$defs/transforms.Crop/properties/prob"}
    assert then["propertyNames"]["enum"] == ["crop_size", "prob", "type"]


def test_a_component_without_options_has_only_its_type(schema):
    then = case(schema["$defs"]["transforms.item"]["allOf"], "Flip")
    assert then["propertyNames"]["enum"] == ["type"]


def test_options_of_a_model_are_known_by_its_name(schema):
    model = schema["$defs"]["ModelConfig"]
    assert case(model["allOf"], "Net") == {
        "properties": {"options": {"$ref": "#/$defs/models.Net"}}
    }
    assert "backbone" in schema["$defs"]["models.Net"]["properties"]


def test_the_model_may_be_left_to_the_command_line_and_bases_are_known(schema):
    assert "required" not in schema
    assert "_base_" in schema["properties"]


def test_every_reference_leads_somewhere(schema):
    def references(node):
        if isinstance(node, dict):
            yield from (v for k, v in node.items() if k == "$ref" and isinstance(v, str))
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from references(inner)

    found = set(references(schema))
    assert len(found) > 10
    for reference in found:
        node = schema
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def test_options_that_cannot_be_imported_cost_nobody_else(caplog):
    from dataclasses import replace

    from segcore.discovery.catalogue import Catalogue, read_catalogue
    from segcore.plugin import LossSpec

    catalogue = read_catalogue()
    broken = LossSpec(name="BrokenLoss", target="nowhere:Loss", options="nowhere:Options")
    stranger = replace(catalogue.plugins[0], specs=(broken,))
    schema = config_json_schema(Catalogue([*catalogue.plugins, stranger]))
    assert "losses.DiceLoss" in schema["$defs"]
    assert "losses.BrokenLoss" not in schema["$defs"]
    assert "BrokenLoss: left out" in caplog.text
