"""F1, F8 to F11, F16 to F18: a training that is stopped, killed or spoilt goes on unharmed.

The network is tiny, but everything around it is real: processes, signals, files, workers.
"""

import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from segcore.checkpoint.process import birth
from segcore.checkpoint.store import CheckpointStore
from segcore.engine.train import train
from segcore.errors import (
    CheckpointError,
    DataError,
    DivergedError,
    ExhaustedError,
    Interrupted,
)
from segcore.testing.site import Site
from tests.toy import NETWORK, PLUGIN

STEPS = 24
FULL = (
    f"train.iters={STEPS}",
    "train.eval_interval=7",
    "train.save_interval=5",
    "train.ema_decay=0.9",
    "train.optimizer.clip_norm=5.0",
    "train.observers=[{type: Signalling}]",
)


@pytest.fixture(scope="module")
def straight_folder(tmp_path_factory):
    """A place for the uninterrupted run."""
    return tmp_path_factory.mktemp("straight") / "run"


@pytest.fixture
def straight(straight_folder, configure, digests):
    """The digests of an uninterrupted training."""
    if not straight_folder.exists():
        train(configure(*FULL), straight_folder, device="cpu")
    return digests(straight_folder)


def stop_at(steps, config, folder, monkeypatch, name="SIGTERM"):
    """Train with a signal at each of `steps`, resuming in between; give the last interruption."""
    monkeypatch.setenv("SIGNAL", name)
    stopped = None
    for step in steps:
        monkeypatch.setenv("SIGNAL_STEPS", str(step))
        with pytest.raises(Interrupted) as caught:
            train(config, folder, device="cpu", resume=True)
        stopped = caught.value
    monkeypatch.setenv("SIGNAL_STEPS", "")
    return stopped


@pytest.mark.parametrize("step", [1, 2, 4, 5, 6, 7, 8, 12, 14, 16, 20, 23])
def test_a_training_stopped_at_any_step_ends_as_an_uninterrupted_one(
    step, straight, configure, digests, monkeypatch, tmp_path
):
    stopped = stop_at([step], configure(*FULL), tmp_path / "run", monkeypatch)
    assert f"step {step}" in str(stopped)
    train(configure(*FULL), tmp_path / "run", device="cpu", resume=True)
    assert digests(tmp_path / "run") == straight


@pytest.mark.parametrize("steps", [(3, 9, 15), (5, 6, 7), (1, 14, 22)])
def test_three_stops_change_nothing(steps, straight, configure, digests, monkeypatch, tmp_path):
    stop_at(steps, configure(*FULL), tmp_path / "run", monkeypatch)
    train(configure(*FULL), tmp_path / "run", device="cpu", resume=True)
    assert digests(tmp_path / "run") == straight


def test_another_number_of_workers_changes_nothing(
    straight, configure, digests, monkeypatch, tmp_path
):
    stop_at([9], configure(*FULL, "train.num_workers=2"), tmp_path / "run", monkeypatch)
    train(configure(*FULL, "train.num_workers=0"), tmp_path / "run", device="cpu", resume=True)
    assert digests(tmp_path / "run") == straight


CHANGES = {
    "another batch size": ("train.batch_size=2",),
    "another learning rate": ("train.learning_rate=0.5",),
    "another seed": ("train.seed=1",),
    "another length": ("train.iters=30",),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_training_is_refused_with_the_difference(
    change, configure, monkeypatch, tmp_path
):
    stop_at([3], configure(*FULL), tmp_path / "run", monkeypatch)
    key = change[0].partition("=")[0]
    with pytest.raises(CheckpointError, match=rf"{key}: was .*, is "):
        train(configure(*FULL, *change), tmp_path / "run", device="cpu", resume=True)


def test_a_change_is_taken_on_when_asked_for(configure, monkeypatch, tmp_path, caplog):
    stop_at([3], configure(*FULL), tmp_path / "run", monkeypatch)
    longer = configure(*FULL, "train.iters=26")
    result = train(longer, tmp_path / "run", device="cpu", resume=True, accept_changes=True)
    assert result["steps"] == 26
    assert any("taken on" in line and "train.iters" in line for line in caplog.messages)


def test_other_data_is_refused(configure, monkeypatch, tmp_path, shapes):
    data = shutil.copytree(shapes, tmp_path / "data")
    config = configure(*FULL, data=data)
    stop_at([3], config, tmp_path / "run", monkeypatch)
    rows = (data / "train.txt").read_text().splitlines()
    (data / "train.txt").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(CheckpointError, match="datasets: list of train"):
        train(config, tmp_path / "run", device="cpu", resume=True)


def test_another_version_of_a_plugin_is_listed_and_taken_on_when_asked_for(shapes, tmp_path):
    site = Site(tmp_path / "site")
    (site.folder / "toy_network.py").write_text(NETWORK)
    site.install("toy", PLUGIN, version="1.0")
    command = ["train", "Toy", "--data", str(shapes), "--output", str(tmp_path / "run")]
    command += ["--device", "cpu", "--resume", "-o", "train.iters=6", "-o", "train.batch_size=4"]
    command += ["-o", "train.crop_size=[48, 48]", "-o", "train.log_interval=1"]
    command += ["-o", "train.observers=[{type: Signalling}]"]
    assert site.segcore(*command, SIGNAL_STEPS="3").returncode == 143
    before = inventory(tmp_path / "run")

    shutil.rmtree(site.folder / "segcore_toy-1.0.dist-info")
    site.install("toy", PLUGIN, version="1.1")
    refused = site.segcore(*command)
    assert refused.returncode == 2, refused.stderr
    assert re.search(r"segcore-toy: was '?1\.0'?, is '?1\.1'?", refused.stderr), refused.stderr
    assert inventory(tmp_path / "run") == before
    accepted = site.segcore(*command, "--accept-changes")
    assert accepted.returncode == 0, accepted.stderr
    assert "taken on" in accepted.stderr


def inventory(run):
    """The files of a run by name, but for the log and the lock, which each start may write to."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in ("train.log", "run.lock")
    }


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_end_with_their_exit_code(name, code, configure, monkeypatch, tmp_path):
    stopped = stop_at([2], configure(*FULL), tmp_path / "run", monkeypatch, name)
    assert stopped.exit_code == code


@pytest.mark.parametrize("step", [1, 6, 10])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_never_saved(
    step, configure, monkeypatch, tmp_path
):
    monkeypatch.setenv("SPOILT_STEP", str(step))
    config = configure(*FULL, "train.losses=[{type: SpoiltLoss}]", "train.save_interval=1")
    with pytest.raises(DivergedError, match=rf"step {step - 1}: the loss is nan .*shapes_"):
        train(config, tmp_path / "run", device="cpu")
    saved = {path.name for path in (tmp_path / "run").glob("checkpoints/step-*")}
    assert f"step-{step}" not in saved
    assert f"step-{step - 1}" in saved


def test_weights_that_are_not_finite_are_never_saved(configure, tmp_path):
    config = configure("train.iters=1", "train.learning_rate=1e39", "train.schedule.type=constant")
    with pytest.raises(DivergedError):
        train(config, tmp_path / "run", device="cpu")
    assert [path.name for path in (tmp_path / "run").glob("checkpoints/*")] == ["step-0"]


@pytest.mark.parametrize("of", ["numpy", "paddle"])
def test_memory_that_runs_out_is_said_in_words_and_leaves_the_state_before(
    of, configure, monkeypatch, tmp_path
):
    monkeypatch.setenv("GREEDY_STEP", "6")
    monkeypatch.setenv("GREEDY_OF", of)
    config = configure(*FULL, "train.losses=[{type: GreedyLoss}]")
    with pytest.raises(ExhaustedError, match=r"train\.batch_size=4 and train\.crop_size=48x48"):
        train(config, tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "checkpoints" / "step-5" / "MANIFEST.json").is_file()


def test_a_full_disk_ends_the_run_with_code_4_and_keeps_what_was_saved(toy_site, shapes, tmp_path):
    room = tmp_path / "small"
    room.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(room)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system takes rights that are not there")
    try:
        command = [sys.executable, "-m", "segcore", *COMMAND, "-o", "train.iters=400"]
        command += ["-o", "save.keep=50", "--data", str(shapes), "--output", str(room / "run")]
        end = subprocess.run(
            command, env=toy_site.environment(), capture_output=True, text=True, check=False
        )
        assert end.returncode == 4, end.stderr
        assert "MiB free" in end.stderr
        assert CheckpointStore(room / "run").load().step > 0
    finally:
        subprocess.run(["umount", str(room)], check=True)


def test_an_evaluation_that_crashes_leaves_the_checkpoint_of_its_step(configure, tmp_path):
    config = configure(*FULL, "eval.metrics=[{type: FailingMetric}]")
    with pytest.raises(RuntimeError, match="always fails"):
        train(config, tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "checkpoints" / "step-7" / "MANIFEST.json").is_file()


def test_the_older_checkpoint_is_taken_when_the_newest_is_damaged(
    straight, configure, digests, monkeypatch, tmp_path, caplog
):
    stop_at([12], configure(*FULL), tmp_path / "run", monkeypatch)
    newest = tmp_path / "run" / "checkpoints" / "step-12" / "model.pdparams"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    train(configure(*FULL), tmp_path / "run", device="cpu", resume=True)
    assert any("damaged" in line for line in caplog.messages)
    assert digests(tmp_path / "run") == straight


def test_checkpoints_that_a_killed_training_had_no_time_to_retire_go_at_resume(
    configure, monkeypatch, tmp_path
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "retire", lambda *_: None)
        train(configure(*FULL), run, device="cpu")
    steps = CheckpointStore(run).steps()
    assert len(steps) > 2
    train(configure(*FULL), run, device="cpu", resume=True)
    assert CheckpointStore(run).steps() == steps[-2:]


def test_a_bad_sample_is_named_with_its_line(configure, tmp_path, shapes):
    data = shutil.copytree(shapes, tmp_path / "data")
    row = (data / "train.txt").read_text().splitlines()[2]
    (data / row.split()[0]).write_bytes(b"no image at all")
    config = configure(data=data)
    with pytest.raises(DataError, match=r"train\.txt, line 3"):
        train(config, tmp_path / "run", device="cpu")


COMMAND = (
    "train",
    "Toy",
    "--resume",
    "--device",
    "cpu",
    *(text for setting in FULL[:-1] for text in ("-o", setting)),
    *("-o", "train.batch_size=4", "-o", "train.crop_size=[48, 48]", "-o", "train.num_workers=1"),
    *("-o", "train.log_interval=1", "-o", "save.every_minutes=0.001"),
)


def kill_at_random(site, data, run, kills, seed, arguments=COMMAND):
    """Start the training again and again, and SIGKILL each start at a random moment."""
    rng, deaths = random.Random(seed), []
    command = [sys.executable, "-m", "segcore", *arguments]
    command += ["--data", str(data), "--output", str(run)]
    for _ in range(kills):
        child = subprocess.Popen(command, env=site.environment(), stderr=subprocess.PIPE, text=True)
        # importing takes its time: the clock starts when the training speaks
        for line in child.stderr:
            if line.startswith(("going on", "training Toy")):
                break
        time.sleep(rng.uniform(0, 0.5))  # the random moment itself, not a synchronisation
        child.send_signal(signal.SIGKILL)
        child.communicate()
        deaths.append(child.returncode)
    end = subprocess.run(
        command, env=site.environment(), capture_output=True, text=True, check=False
    )
    return deaths, end


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_kills_at_random_moments_change_nothing(
    kills, toy_site, shapes, tmp_path, digests, straight
):
    deaths, end = kill_at_random(toy_site, shapes, tmp_path / "run", kills, seed=kills)
    assert end.returncode == 0, end.stderr
    assert -signal.SIGKILL in deaths
    assert set(deaths) <= {-signal.SIGKILL, 0}
    assert "unreadable" not in end.stderr
    # the two runs list different observers, so their identities and state files differ
    ours, theirs = digests(tmp_path / "run"), straight
    for name in (
        "best_model/model.pdparams",
        "best_model/model.pdopt",
        f"step-{STEPS}/model.pdparams",
    ):
        assert ours[name] == theirs[name], name
    assert ours["history"] == theirs["history"]


def test_kills_change_nothing_in_a_training_on_instances(
    toy_site, objects, instance_settings, configure_instances, tmp_path, digests
):
    train(configure_instances(*FULL[:-1]), tmp_path / "straight", device="cpu")
    arguments = ["train", "Toy-Boxes", *COMMAND[2:]]
    arguments += [text for setting in instance_settings for text in ("-o", setting)]
    deaths, end = kill_at_random(toy_site, objects, tmp_path / "run", 2, 5, arguments)
    assert end.returncode == 0, end.stderr
    assert -signal.SIGKILL in deaths
    assert digests(tmp_path / "run") == digests(tmp_path / "straight")


def test_no_worker_outlives_a_training_that_was_stopped(toy_site, shapes, tmp_path):
    command = [sys.executable, "-m", "segcore", *COMMAND, "-o", "train.iters=100000"]
    command += ["--data", str(shapes), "--output", str(tmp_path / "run")]
    child = subprocess.Popen(command, env=toy_site.environment(), stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if "step 3 of" in line:
            break
    children = workers_of(child.pid)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert children
    deadline = time.monotonic() + 60  # they notice by themselves that nobody is there any more
    while any(map(birth, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(filter(birth, children))


def workers_of(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(text) for text in found.stdout.split()]
