"""`python -m tests.torture [CAMPAIGN …] [--slice] [--seed N] [--seconds S]`: figures of each; status 1 on failure."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

PRELOADED = "INVOKE_TORTURE_LIBRARY"
SHOWN = 20
"""Number of findings shown per campaign."""


def main(words: list[str]) -> int:
    """Run the given campaigns, or all."""
    is_slice = "--slice" in words
    limit = float(words[words.index("--seconds") + 1]) if "--seconds" in words else float("inf")
    seed = int(words[words.index("--seed") + 1]) if "--seed" in words else time.time_ns() % 10**9
    from tests.torture.campaigns import CAMPAIGNS, PARTS

    campaigns = CAMPAIGNS | PARTS
    names = [word for word in words if word in campaigns] or list(CAMPAIGNS)
    failed = 0
    for name in names:
        count, began = Counter[str](), time.monotonic()
        findings = []
        for finding in campaigns[name](count, Random(f"{name} {seed}"), is_slice):
            if finding.startswith("skipped"):
                count[finding] += 1
            elif finding:
                findings.append(finding)
            if time.monotonic() - began > limit:
                break
        figures = ", ".join(f"{what}: {number:,}" for what, number in count.items())
        took = time.monotonic() - began
        print(f"{name}: {figures}; {len(findings)} failed ({took:.0f} s, --seed {seed})", flush=True)
        for finding in findings[:SHOWN]:
            print(f"  {finding}", flush=True)
        failed += len(findings)
    return 1 if failed else 0


def _with_library() -> None:
    """Restart with the library that makes calls fail, if there is a compiler to build it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if PRELOADED in os.environ or compiler is None or not sys.platform.startswith("linux"):
        return
    library = Path(tempfile.mkdtemp(prefix="torture-library-")) / "faults.so"
    source = Path(__file__).with_name("faults.c")
    made = subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-o", library, source, "-ldl"], check=False)
    if made.returncode == 0:
        words = [sys.executable, "-m", "tests.torture", *sys.argv[1:]]
        os.execve(words[0], words, os.environ | {"LD_PRELOAD": str(library), PRELOADED: str(library)})


if __name__ == "__main__":
    _with_library()
    status = main(sys.argv[1:])
    if library := os.environ.get(PRELOADED):
        shutil.rmtree(Path(library).parent, ignore_errors=True)
    sys.exit(status)
