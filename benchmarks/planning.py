"""`--dry-run` of 10,000 and of 50,000 lines: seconds, and how much memory grows with the lines.

python -m benchmarks.planning
"""

import os
import subprocess
import sys
from itertools import cycle, islice
from tempfile import TemporaryFile
from time import monotonic

LINES = (
    '"fire" -s10 -S1592514025 -I test-pictures/fire-drawing.png --strength 0.7',
    "tree on a hill with a river, painting -n4 -C7.5",
    "a boat -I test-pictures/photo-with-hole.png -W256 -H256 --fit",
    "castle at night -A k_heun -s 30 -W 384 -H 256",
)


def main() -> None:
    """Print seconds and the peak memory for both lengths."""
    few, many = _plan(10_000), _plan(50_000)
    for count, (seconds, peak) in ((10_000, few), (50_000, many)):
        print(f"--dry-run of {count:,} lines      {seconds:.2f} s, peak {peak / 1024:.0f} MB")
    print(f"memory, 50,000 against 10,000   {many[1] / few[1]:.3f}")


def _plan(count: int) -> tuple[float, int]:
    with TemporaryFile("w+") as lines:
        lines.writelines(f"{line}\n" for line in islice(cycle(LINES), count))
        lines.seek(0)
        started = monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "invoke", "--dry-run", "--json"], stdin=lines, stdout=subprocess.DEVNULL
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
    return monotonic() - started, usage.ru_maxrss


if __name__ == "__main__":
    main()
