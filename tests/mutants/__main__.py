"""`python -m tests.mutants [MODULE …] [--count N] [--seed N] [--seconds S] [--list]`: faults, and who noticed.

Without a module, N faults (40) of all modules in the table; `--by-hand` takes those of `by_hand.py` instead. The
status is 1 if one survived that is not known as equivalent.
"""

import argparse
import gc
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

from tests.mutants.by_hand import BY_HAND
from tests.mutants.faults import Fault, faults, shortened
from tests.mutants.table import EQUIVALENT, TARGETS

ROOT = Path(__file__).parents[2]
COPIED = ("invoke", "tests", "configs", "docs")
"""What a fault is put into, and what imports it; everything else of the repository is linked."""
PRELOADED = (
    *("numpy", "PIL.Image", "torch", "diffusers", "diffusers.models.unets.unet_2d_condition", "transformers"),
    *("diffusers.pipelines.stable_diffusion", "transformers.models.clip.modeling_clip", "safetensors.torch"),
    *("prompt_toolkit.shortcuts", "pyte", "jsonschema", "psutil", "yaml"),
    *("huggingface_hub", "accelerate"),
)
"""Imported once, before the forks."""
TRIVIAL = ("nothing returned", "arguments swapped", "argument dropped", "constant")
"""Kinds of which a module has so many that each of them is drawn less often."""
LONGEST = 600.0
"""Seconds that the tests of a fault may take; one that hangs them is noticed."""
FEW = 15
"""Examples of each law, first; what they do not notice is tried with all."""


class Ended(NamedTuple):
    """What became of one run of tests."""

    was_noticed: bool
    by: str
    """The test that failed; "" where they hung, or did not begin."""
    seconds: float


class Copy:
    """A copy of the repository, in which one module at a time has a fault."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in ROOT.iterdir():
            if path.name in COPIED:
                ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
                shutil.copytree(path, root / path.name, ignore=ignored)
            elif not path.name.startswith("."):
                (root / path.name).symlink_to(path)

    def run(self, tests: Sequence[str], examples: int = 100) -> Ended:
        """Run `tests` until the first fails, each law with so many `examples`."""
        began = time.monotonic()
        pid = os.fork()
        if not pid:
            try:
                os._exit(self._test(tests, examples))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        hung = False
        while not (done := os.waitpid(pid, os.WNOHANG))[0]:
            time.sleep(0.01)
            if not hung and time.monotonic() - began > LONGEST:
                hung = True
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the tests have started and left
        output = (self.root / "output.txt").read_text(encoding="utf-8", errors="replace")
        failed = re.search(r"^(?:FAILED|ERROR) ([^\s:]+\.py(?:::\w+)?)", output, re.MULTILINE)
        return Ended(done[1] != 0, failed[1] if failed else "", time.monotonic() - began)

    def _test(self, tests: Sequence[str], examples: int) -> int:
        os.setpgid(0, 0)
        os.chdir(self.root)
        output = os.open("output.txt", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:
            del sys.modules[name]
        sys.path.insert(0, str(self.root))
        os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "LAWS": "quick"}
        os.environ["EXAMPLES"] = str(examples)
        import pytest

        plain = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(self.root)]
        plain += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is preloaded
        return int(pytest.main([*plain, *tests]))

    @contextmanager
    def having(self, module: str, fault: Fault) -> Iterator[None]:
        """Within, the module has that fault."""
        path = self.root / module
        plain = path.read_text(encoding="utf-8")
        path.write_text(fault.source, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(plain, encoding="utf-8")


def drawn(modules: list[str], count: int, draw: random.Random) -> list[tuple[str, Fault]]:
    """`count` faults, one of each module in turn."""
    piles = []
    for module in modules:
        every = list(faults((ROOT / module).read_text(encoding="utf-8")))
        keys = {id(fault): draw.random() * (3 if fault.kind in TRIVIAL else 1) for fault in every}
        piles.append([(module, fault) for fault in sorted(every, key=lambda fault: keys[id(fault)])])
    draw.shuffle(piles)
    return list(islice((one for row in zip_longest(*piles) for one in row if one is not None), count))


def by_hand() -> Iterator[tuple[str, Fault]]:
    """The faults of `BY_HAND` whose place is still there, once."""
    for module, old, new in BY_HAND:
        source = (ROOT / module).read_text(encoding="utf-8") if (ROOT / module).exists() else ""
        if source.count(old) != 1:
            print(f"gone {module}: {old}", flush=True)
            continue
        at = source.index(old)
        row = source[source.rfind("\n", 0, at) + 1 :].partition("\n")[0].strip()
        line = source[:at].count("\n") + 1
        yield module, Fault("by hand", line, shortened(old), shortened(new), source.replace(old, new), row)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a part of its path, such as files.py")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--by-hand", action="store_true", help="the faults of by_hand.py instead of random ones")
    parser.add_argument("--list", action="store_true", help="show the faults, run nothing")
    wanted = parser.parse_args(words)
    modules = [name for name in TARGETS if not wanted.modules or any(part in name for part in wanted.modules)]
    if wanted.by_hand:
        sample = [(name, fault) for name, fault in by_hand() if name in modules]
    else:
        sample = drawn(sorted(modules), wanted.count, random.Random(wanted.seed))
    if wanted.list:
        for module, fault in sample:
            print(f"{module}:{fault.line}: {fault.name}")
        return 0
    survivors = run(sample, wanted.seconds, wanted.seed)
    return 1 if survivors else 0


def run(sample: list[tuple[str, Fault]], seconds: float, seed: int) -> int:
    """Put each fault of `sample` into a copy, as far as there is time; how many went unnoticed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()
    began, count, witnesses = time.monotonic(), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copy = Copy(Path(place))
        for module, fault in sample:
            if time.monotonic() - began > seconds:
                break
            if reason := EQUIVALENT.get((module, fault.name)):
                count["equivalent"] += 1
                print(f"equivalent {module}:{fault.line}: {fault.name}: {reason}", flush=True)
                continue
            with copy.having(module, fault):
                ended = copy.run(TARGETS[module], FEW)
                if not ended.was_noticed:
                    ended = copy.run(TARGETS[module])
            verdict = "noticed" if ended.was_noticed else "SURVIVED"
            count[verdict] += 1
            witnesses[ended.by] += ended.was_noticed
            by = f" ← {ended.by}" if ended.by else ""
            print(f"{verdict} {ended.seconds:4.0f} s {module}:{fault.line}: {fault.name}{by}", flush=True)
        unsound = [*_failing(copy, sorted(filter(None, witnesses)))]
    for test in unsound:
        print(f"{test} fails without a fault: what it noticed does not count", flush=True)
        count["noticed"] -= witnesses[test]
    tried = count["noticed"] + count["SURVIVED"]
    share = 100 * count["noticed"] / max(1, tried)
    print(
        f"{count['noticed']} of {tried} faults noticed ({share:.0f} %), {count['equivalent']} equivalent"
        f" ({time.monotonic() - began:.0f} s, --seed {seed})"
    )
    return count["SURVIVED"] + len(unsound)


def _failing(copy: Copy, tests: list[str]) -> Iterator[str]:
    """Those of `tests` that fail without a fault as well."""
    while tests and (ended := copy.run(tests)).was_noticed:
        failed = [test for test in tests if ended.by in {test, test.partition("::")[0]}] or tests
        yield from failed
        tests = [test for test in tests if test not in failed]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
