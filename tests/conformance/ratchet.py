"""PyTorch's own operator database against the core, and the list of what passed before.

    python tests/conformance/ratchet.py                 # run, print the table, compare with ratchet.json
    python tests/conformance/ratchet.py int64 gradgrad  # only these kinds
    python tests/conformance/ratchet.py --update        # and write down what passes now

The database is walked by `opinfo_probe.py`, which stands beside the repository in `../shared/conformance`
(or is named by --probe), with the second opinion of `judge.py`; it needs torch 2.13.0 and expecttest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROBE = ROOT.parent / "shared" / "conformance" / "opinfo_probe.py"
RATCHET = HERE / "ratchet.json"
OPTIONS = {  # the long ones first, so that two processes end together
    "gradgrad": ["--gradgrad"],
    "float32": ["--dtype", "float32", "--max-samples", "0"],
    "ops": [],
    "bfloat16": ["--dtype", "bfloat16"],
    "float16": ["--dtype", "float16"],
    "complex128": ["--dtype", "complex128"],
    "int64": ["--dtype", "int64"],
    "bool": ["--dtype", "bool"],
    "inplace": ["--no-ops", "--inplace"],
    "errors": ["--no-ops", "--errors"],
    "modules": ["--no-ops", "--modules"],
    "optims": ["--no-ops", "--optims"],
}


def run(probe: Path = PROBE, kinds: list[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """The probe's entries by kind; each has a name, a status, the first reason, and what it passed `apart` from."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}

        def walk(kind: str) -> list[dict[str, Any]]:
            answer = Path(folder) / f"{kind}.json"
            command = [sys.executable, "-W", "ignore", str(HERE / "judge.py"), str(probe), "--module", "framework"]
            command += ["--path", str(ROOT), *OPTIONS[kind], "--timeout", "240", "--json", str(answer)]
            ran = subprocess.run(command, capture_output=True, text=True, env=alone)
            if not answer.exists():
                raise RuntimeError(f"the probe ended with status {ran.returncode}:\n{ran.stderr[-2000:]}")
            (entries,) = json.loads(answer.read_text()).values()
            return list(entries)

        chosen = [kind for kind in OPTIONS if not kinds or kind in kinds]
        return dict(zip(chosen, pool.map(walk, chosen)))


def passing(entries: list[dict[str, Any]]) -> list[str]:
    """The public names that pass."""
    return sorted(entry["op"] for entry in entries if entry["status"] == "pass" and not entry["private"])


def lost(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What the ratchet has and this run has not, with the reason. Running out of time is no loss."""
    before = json.loads(RATCHET.read_text())
    losses = []
    for kind, names in before.items():
        if kind not in found:
            continue
        now = {entry["op"]: entry for entry in found[kind]}
        for name in names:
            entry = now.get(name, {"status": "absent", "why": ""})
            if entry["status"] != "pass" and "time limit" not in entry["why"]:
                losses.append(f"{kind} {name}: {entry['status']} {entry['why']}")
    return losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help=f"all unless named: {', '.join(OPTIONS)}")
    parser.add_argument("--probe", type=Path, default=PROBE)
    parser.add_argument("--update", action="store_true", help="write down what passes now")
    arguments = parser.parse_args()
    if not arguments.probe.exists():
        print(f"there is no probe at {arguments.probe}; name it with --probe", file=sys.stderr)
        return 2
    if unknown := set(arguments.kinds) - set(OPTIONS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}")
    found = run(arguments.probe, arguments.kinds)
    print(f"{'kind':11}{'pass':>6}{'(apart)':>9}{'fail':>6}{'missing':>9}{'of':>6}")
    for kind, entries in found.items():
        public = [entry for entry in entries if not entry["private"] and entry["status"] != "skip"]
        passed, failed, missing = (
            [entry for entry in public if entry["status"] == status] for status in ("pass", "fail", "missing")
        )
        apart = sum(bool(entry.get("apart")) for entry in passed)
        print(f"{kind:11}{len(passed):6}{apart:9}{len(failed):6}{len(missing):9}{len(public):6}")
        for entry in failed:
            print(f"    {entry['op']}: {entry['why']}")
    if arguments.update:
        before = json.loads(RATCHET.read_text()) if RATCHET.exists() else {}
        after = before | {kind: passing(entries) for kind, entries in found.items()}
        RATCHET.write_text(json.dumps({kind: after[kind] for kind in OPTIONS if kind in after}, indent=0) + "\n")
        return 0
    losses = lost(found)
    print("\n".join(losses) if losses else "nothing lost")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
