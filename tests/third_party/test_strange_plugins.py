"""Plugins that load, and behave strangely all the same."""

import json

HEAD = "from segcore.plugin import CommandSpec, LossSpec, ModelSpec, hookimpl\n"


def models(*names):
    listed = ", ".join(f"ModelSpec(name={name!r}, target='nowhere:Net')" for name in names)
    return f"{HEAD}@hookimpl\ndef segcore_models():\n    return [{listed}]\n"


def test_prints_at_import_leave_json_alone(site):
    site.install("chatty", "print('hello')\nimport sys\nsys.stdout.write('there')")
    answer = site.segcore("models", "--json")
    assert answer.returncode == 0
    json.loads(answer.stdout)


def test_info_shows_what_was_printed_and_the_time_of_the_import(site):
    site.install("chatty", "print('hello')")
    record = json.loads(site.segcore("plugins", "info", "chatty", "--json").stdout)
    assert record["printed"] == "hello\n"
    assert record["import_ms"] > 0


def test_two_plugins_with_one_model_name_are_both_listed(site):
    site.install("one", models("Net"))
    site.install("two", models("net"))
    records = json.loads(site.segcore("models", "--json").stdout)
    assert {"segcore-one/Net", "segcore-two/net"} <= {record["name"] for record in records}


def test_a_bare_name_that_two_offer_is_refused_with_the_candidates(site):
    site.install("one", models("Net"))
    site.install("two", models("Net"))
    answer = site.segcore("models", "show", "Net")
    assert answer.returncode == 2
    assert answer.stderr.endswith(
        "model 'Net': several plugins offer that name; write segcore-one/Net or segcore-two/Net\n"
    )


def test_a_qualified_name_finds_either(site):
    site.install("one", models("Net"))
    site.install("two", models("Net"))
    record = json.loads(site.segcore("models", "show", "segcore_two/net", "--json").stdout)
    assert record["distribution"] == "segcore-two"


def test_a_clash_costs_each_plugin_one_line(site):
    site.install("one", models("A", "B"))
    site.install("two", models("A", "B"))
    lines = site.segcore("models").stderr.splitlines()
    assert len(lines) == 2
    for name, line in zip(("one", "two"), lines, strict=True):
        assert f"plugin '{name}' (segcore-{name} 1.0): offers a name that is taken" in line


def test_two_distributions_with_one_entry_point_name_both_load(site):
    site.install("one", models("A"), entry="same")
    site.install("two", models("B"), entry="same")
    records = json.loads(site.segcore("plugins", "list", "--json").stdout)
    assert [r["status"] for r in records if r["name"] == "same"] == ["ok", "ok"]


def test_a_stranger_does_not_take_over_a_name_of_segcore(site):
    site.install(
        "thief",
        HEAD + "@hookimpl\ndef segcore_losses():\n"
        "    return [LossSpec(name='CrossEntropyLoss', target='nowhere:Loss')]\n",
    )
    code = (
        "from segcore.discovery.catalogue import get_catalogue\n"
        "losses = get_catalogue().losses\n"
        "print(losses.find('CrossEntropyLoss').qualified)\n"
        "print(losses.find('segcore-thief/crossentropyloss').qualified)\n"
    )
    answer = site.python("-c", code)
    assert answer.stdout.split() == ["segcore/CrossEntropyLoss", "segcore-thief/CrossEntropyLoss"]


def test_that_attempt_is_not_silent(site):
    site.install(
        "thief",
        HEAD + "@hookimpl\ndef segcore_commands():\n"
        "    return [CommandSpec(name='models', target='nowhere:command')]\n",
    )
    answer = site.segcore("models")
    assert answer.returncode == 0
    assert "command 'models' (segcore keeps it; write segcore-thief/models)" in answer.stderr


def test_a_command_of_a_plugin_runs(site):
    site.install(
        "greeter",
        HEAD + "import click\n\n@hookimpl\ndef segcore_commands():\n"
        "    return [CommandSpec(name='greet', target='greeter:greet', summary='Say hello')]\n\n"
        "@click.command()\ndef greet():\n    click.echo('hello from outside')\n",
    )
    assert "greet" in site.segcore("--help").stdout
    assert site.segcore("greet").stdout == "hello from outside\n"


def test_a_command_that_is_none_is_named(site):
    site.install(
        "fake",
        HEAD + "@hookimpl\ndef segcore_commands():\n"
        "    return [CommandSpec(name='fake', target='fake:thing')]\n\nthing = 5\n",
    )
    answer = site.segcore("fake")
    assert answer.returncode == 3
    assert "command 'fake' is a int, not a click.Command" in answer.stderr


def test_metadata_that_is_not_text_is_contained(site):
    site.install("torn", models("A"))
    (site.folder / "segcore_torn-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe\x00Name")
    records = json.loads(site.segcore("plugins", "list", "--json").stdout)
    (torn,) = (record for record in records if record["name"] == "torn")
    assert torn["status"] == "broken"
    assert "its metadata cannot be read" in torn["reason"]


def test_entry_points_that_are_not_text_are_contained(site):
    site.install("torn", models("A"))
    folder = site.folder / "segcore_torn-1.0.dist-info"
    (folder / "entry_points.txt").write_bytes(b"[segcore.plugins]\n\xff\xff = torn\n")
    answer = site.segcore("plugins", "list")
    assert answer.returncode == 0
    assert "its entry_points.txt cannot be read" in answer.stdout


def test_an_entry_point_without_a_module_is_contained(site):
    site.install("empty", models("A"))
    folder = site.folder / "segcore_empty-1.0.dist-info"
    (folder / "entry_points.txt").write_text("[segcore.plugins]\nempty =\n", encoding="utf-8")
    answer = site.segcore("plugins", "list")
    assert "its entry point 'empty' names no module" in answer.stdout


def test_metadata_that_is_gone_is_contained(site):
    site.install("gone", models("A"))
    (site.folder / "segcore_gone-1.0.dist-info" / "METADATA").unlink()
    answer = site.segcore("plugins", "list")
    assert "its metadata gives no name or no version" in answer.stdout


def test_control_characters_of_a_plugin_do_not_reach_the_terminal(site):
    site.install("rude", r"raise ValueError('\x1b[2J\x1b[31mall gone')")
    answer = site.segcore("models")
    assert "\x1b" not in answer.stderr
    assert r"\x1b[2J" in answer.stderr


def test_published_results_that_json_cannot_carry_are_described(site):
    site.install(
        "odd",
        HEAD + "@hookimpl\ndef segcore_models():\n"
        "    published = {'miou': float('nan'), 'by': {1: {2}}, 'sizes': (1, 2.5)}\n"
        "    return [ModelSpec(name='OddNet', target='a:b', published=published)]\n",
    )
    record = json.loads(site.segcore("models", "show", "OddNet", "--json").stdout)
    assert record["published"] == {"miou": "nan", "by": {"1": "{2}"}, "sizes": [1, 2.5]}


def test_switching_off_a_plugin_that_is_not_there_is_said(site):
    answer = site.segcore("--no-plugin", "nobody", "models")
    assert answer.returncode == 0
    assert answer.stderr == "segcore: --no-plugin nobody: no plugin of that name is installed\n"
