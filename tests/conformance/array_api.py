"""How many functions of the array API standard 2024.12 give what array-api-strict gives, ours beside NumPy's own.

python tests/conformance/array_api.py [EXAMPLES]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1] / "support")]

import array_api_cases as cases  # noqa: E402

import framework.array_api as ours  # noqa: E402


def failures(namespace: Any, to_numpy: Any, examples: int) -> dict[str, str]:
    """The functions whose result differs for some input, with the first line of the reason."""
    found = {}
    for name in cases.CASES:
        try:
            cases.check(name, namespace, to_numpy, examples)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return found


def main() -> int:
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    count = len(cases.CASES)
    print(f"{'namespace':24}{'functions':>10}{'pass':>6}")
    lost = 0
    for title, namespace, to_numpy in (
        ("framework.array_api", ours, lambda tensor: tensor.numpy()),
        (f"numpy {np.__version__}", np, np.asarray),
    ):
        failed = failures(namespace, to_numpy, examples)
        print(f"{title:24}{count:10}{count - len(failed):6}")
        for name, reason in failed.items():
            print(f"    {name}: {reason}")
        lost += len(failed) if namespace is ours else 0
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
