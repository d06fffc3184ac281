"""A batch of 2,000 pictures (built-in model, one step, 64×64): does memory grow with the pictures, and how fast is it?

python -m benchmarks.long_batch
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import psutil

PICTURES = 2000
WARM = 400
"""Pictures after which memory should no longer grow."""


def main() -> None:
    """Print the memory of both processes after WARM and after all pictures, in MB, and pictures a second."""
    lines = "".join(f"picture {index} -S {index}\n" for index in range(PICTURES))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "lines.txt"
        file.write_text(lines, encoding="utf-8")
        words = ["-q", "-s", "1", "-W", "64", "-H", "64", "-o", f"{folder}/out", "--from-file", str(file)]
        with subprocess.Popen([sys.executable, "-m", "invoke", *words], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            seen: list[tuple[float, list[float]]] = []
            for count, _ in enumerate(process.stdout, start=1):
                if count in {WARM, PICTURES - 1}:
                    seen.append((monotonic(), _memory(process.pid)))
        assert process.returncode == 0
    (began, few), (ended, many) = seen
    print(f"pictures a second                {(PICTURES - 1 - WARM) / (ended - began):.1f}")
    for name, before, after in zip(("the program", "its engine"), few, many, strict=True):
        print(f"{name:<12} after {WARM:,} and {PICTURES:,}  {before:.0f} MB, {after:.0f} MB ({after / before:.3f})")


def _memory(pid: int) -> list[float]:
    """The memory of the process and its worker."""
    process = psutil.Process(pid)
    return [each.memory_info().rss / 2**20 for each in (process, *process.children())]


if __name__ == "__main__":
    main()
