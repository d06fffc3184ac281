"""Process start to the first picture, the second in the same sitting, and memory, with the built-in model.

python -m benchmarks.pictures
"""

import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

LINE = "a fire, photograph -W256 -H256 -s20 -C7.5 -S{}\n"
PAGE = 4096


def main() -> None:
    """Print the time of three pictures made by one process, and the most memory it and its worker held."""
    with TemporaryDirectory() as folder:
        started = monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", "-q", "-o", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        memory = _Memory(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        times = []
        for seed in range(3):
            process.stdin.write(LINE.format(seed))
            process.stdin.flush()
            assert process.stdout.readline().strip().endswith(f".{seed}.png")
            times.append(monotonic() - started)
            started = monotonic()
        process.stdin.close()
        process.wait()
        memory.stop()
    print(f"process start → first picture   {times[0]:.1f} s (256×256, 20 steps, guidance on)")
    print(f"second and third picture        {times[1]:.2f} s, {times[2]:.2f} s")
    print(f"peak memory, both processes     {memory.peak / 2**20:.0f} MB")


class _Memory(threading.Thread):
    """Watches what a process and its children hold together."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.running = pid, 0, True
        self.start()

    def run(self) -> None:
        while self.running:
            self.peak = max(self.peak, sum(_resident(pid) for pid in family(self.pid)))
            sleep(0.05)

    def stop(self) -> None:
        self.running = False
        self.join()


def family(pid: int) -> list[int]:
    """The process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in family(int(child)))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE
    except OSError:
        return 0


if __name__ == "__main__":
    main()
