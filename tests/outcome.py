"""What a training came to, in a form that two trainings can be compared by."""

import hashlib
import json


def digest_run(run):
    """Digest the last state and the best weights of a run, and give its history."""
    newest = max((run / "checkpoints").glob("step-*"), key=_step)
    files = [*sorted(newest.glob("model.*")), *sorted((run / "best_model").glob("model.*"))]
    found = {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    return {**found, "history": read_history(run)}


def read_history(run):
    """Read metrics.jsonl without the times."""
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    timed = {"time", "seconds", "images_per_second"}
    return [{k: v for k, v in record.items() if k not in timed} for record in records]


def _step(path):
    # a user may have copied one, and one of another run may be there
    number = path.name[5:]
    return int(number) if number.isdecimal() and int(number) < 1000 else -1
