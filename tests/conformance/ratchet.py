"""PyTorch's own operator database against the core, and the list of what passed before.

    python tests/conformance/ratchet.py            # run, print the table, compare with ratchet.json
    python tests/conformance/ratchet.py --update   # and write down what passes now

The database is walked by `opinfo_probe.py`, which stands beside the repository in `../shared/conformance`
(or is named by --probe); it needs torch 2.13.0 and expecttest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROBE = ROOT.parent / "shared" / "conformance" / "opinfo_probe.py"
RATCHET = HERE / "ratchet.json"
OPTIONS = {
    "ops": [],
    "inplace": ["--no-ops", "--inplace"],
    "errors": ["--no-ops", "--errors"],
    "modules": ["--no-ops", "--modules"],
    "optims": ["--no-ops", "--optims"],
}


def run(probe: Path = PROBE) -> dict[str, list[dict[str, Any]]]:
    """The probe's entries by kind; each has a name, a status and the first reason."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, options in OPTIONS.items():
            answer = Path(folder) / f"{kind}.json"
            command = [sys.executable, "-W", "ignore", str(probe), "--module", "framework", "--path", str(ROOT)]
            ran = subprocess.run([*command, *options, "--json", str(answer)], capture_output=True, text=True)
            if not answer.exists():
                raise RuntimeError(f"the probe ended with status {ran.returncode}:\n{ran.stderr[-2000:]}")
            found[kind] = json.loads(answer.read_text())[kind]
    return found


def passing(entries: list[dict[str, Any]]) -> list[str]:
    """The public names that pass."""
    return sorted(entry["op"] for entry in entries if entry["status"] == "pass" and not entry["private"])


def lost(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What the ratchet has and this run has not, with the reason. Running out of time is no loss."""
    before = json.loads(RATCHET.read_text())
    losses = []
    for kind, names in before.items():
        now = {entry["op"]: entry for entry in found[kind]}
        for name in names:
            entry = now.get(name, {"status": "absent", "why": ""})
            if entry["status"] != "pass" and "time" not in entry["why"].lower():
                losses.append(f"{kind} {name}: {entry['status']} {entry['why']}")
    return losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probe", type=Path, default=PROBE)
    parser.add_argument("--update", action="store_true", help="write down what passes now")
    arguments = parser.parse_args()
    if not arguments.probe.exists():
        print(f"there is no probe at {arguments.probe}; name it with --probe", file=sys.stderr)
        return 2
    found = run(arguments.probe)
    print(f"{'kind':10}{'pass':>6}{'fail':>6}{'missing':>9}{'public':>8}")
    for kind, entries in found.items():
        public = [entry["status"] for entry in entries if not entry["private"] and entry["status"] != "skip"]
        counts = [public.count(status) for status in ("pass", "fail", "missing")]
        print(f"{kind:10}{counts[0]:6}{counts[1]:6}{counts[2]:9}{len(public):8}")
    if arguments.update:
        RATCHET.write_text(json.dumps({kind: passing(entries) for kind, entries in found.items()}, indent=0) + "\n")
        return 0
    losses = lost(found)
    print("\n".join(losses) if losses else "nothing lost")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
