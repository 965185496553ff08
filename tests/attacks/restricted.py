"""Read every payload with segcore under an audit hook that sees imports, files and processes.

Run as `python restricted.py FOLDER`; leaves what happened in FOLDER/outcomes.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from payloads import ATTACKS, text, weights

from segcore.checkpoint.pdparams import decode, encode


def peak_bytes() -> int:
    # ru_maxrss would begin with the peak of the process that started this one
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(folder: Path) -> None:
    events: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple) -> None:
        if watching:
            events.append(event)

    # Warm up, so that what a first call imports by itself is not held against a payload.
    decode(encode({"a": 1.0}))
    decode(weights(text("x")))
    sys.path.insert(0, str(folder))
    sys.addaudithook(watch)
    outcomes = {}
    for attack in ATTACKS:
        marker = folder / f"{attack.name}.marker"
        (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
        data = attack.build(str(marker))
        modules, before = set(sys.modules), peak_bytes()
        events.clear()
        watching, error, message = True, None, ""
        try:
            decode(data, source=attack.name)
        except BaseException as caught:
            error, message = type(caught).__name__, str(caught)
        watching = False
        outcomes[attack.name] = {
            "error": error,
            "message": message,
            "ran": marker.exists(),
            "events": list(events),
            "imported": sorted(set(sys.modules) - modules),
            "grown": peak_bytes() - before,
            "size": len(data),
        }
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(Path(sys.argv[1]))
