"""(f) Mutants of untrusted input: pictures, prompts, lists, settings, ledgers, headers of weights, recipes.

Each has a budget of a second (more for many pixels) and of 300 MB. Every mutant that ever failed is kept in `corpus/`,
by kind, and tried every time.
"""

import io
import json
import os
import resource
import struct
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random

from invoke.errors import InvokeError
from invoke.images import decode
from invoke.language.config_file import read_settings
from invoke.language.parse import Draft, read
from invoke.language.presets import read_presets
from invoke.models import read_registry
from invoke.models.folder import check_folder
from invoke.models.parametrisation import read_parametrisation
from invoke.models.recognise import recognise_folder
from invoke.models.safetensors_header import read_header
from invoke.models.yaml_lists import parse_rows
from invoke.outputs import ledger, metadata, png
from invoke.outputs.speeds import Speeds
from invoke.session import Session
from invoke.text import read_lines
from invoke.workers.shard import Shard, ShardFolder
from tests.fakes import FakeEngine
from tests.torture import forks

CORPUS = Path(__file__).parent / "corpus"
BUDGET_SECONDS, BUDGET_MB = 1.0, 300
SECONDS_A_PIXEL = 2 / 64e6
"""More for a picture: two seconds for the 64 million pixels that one may have."""
AT_ONCE = 500
"""Number of mutants per fork."""
TOKENS = [
    *(b"\0", b"\xff" * 4, b"[" * 50, b"{" * 50, b"9" * 400, b"-1", b"1e400", b"true", b"null", b"*a", b"&a "),
    *(b"!!int ", b'"', b"'", b"\n", b"..", b"\xe2\x80\xae"),
]


def _image_files() -> list[bytes]:
    from PIL import Image

    files = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        for mode in ("RGB", "L", "P"):
            if (kind, mode) in {("WEBP", "L"), ("WEBP", "P"), ("JPEG", "P")}:
                continue
            out = io.BytesIO()
            Image.linear_gradient("L").resize((24, 16)).convert(mode).save(out, kind)
            files.append(out.getvalue())
    return files


def _recipes() -> list[bytes]:
    from tests.outputs.makings import finished

    return [json.dumps(dict(metadata.texts(finished(), "a cat -S 42"))).encode()]


def _open(data: bytes) -> int:
    """The number of its pixels."""
    png.texts(data)
    picture = decode("mutant", data)
    return picture.width * picture.height


def _recipe(data: bytes) -> None:
    with_texts = json.loads(data)
    if isinstance(with_texts, dict):
        texts = [
            (str(key).encode("latin-1", "replace").decode("latin-1"), str(value)) for key, value in with_texts.items()
        ]
        from PIL import Image

        _read_recipe(png.encode_image(Image.new("RGB", (8, 8)), texts))


def _read_recipe(data: bytes) -> None:
    path = Path(f"mutant-{os.getpid()}.png")
    path.write_bytes(data)
    metadata.read(path)


_SESSION: list[Session] = []


def _line(data: bytes) -> None:
    if not _SESSION:
        _SESSION.append(Session(FakeEngine(), read_registry()))
    for line in read_lines(io.BytesIO(data)):
        if isinstance(line, str):
            parsed = read(line)
            if isinstance(parsed, Draft):
                plan = _SESSION[0].resolve(parsed)
                plan.picture(0)


def _list(data: bytes) -> None:
    parse_rows(data.decode("utf-8", "replace"), "mutant")


def _file(name: str, look: Callable[[Path], object]) -> Callable[[bytes], None]:
    def work(data: bytes) -> None:
        path = Path(f"{name}-{os.getpid()}")
        path.write_bytes(data)
        look(path)

    return work


LINES = [
    b"a stone lighthouse, oil -I test.png -f 0.6 -n2 -S 7 -W 320 -H 256 -C 7.5 -A k_euler_a",
    b'"a (red)1.3 cat" [dog] --sweep f=0.2,0.4 -v 0.2 --grid |> the same -f 0.3 -U 2',
    b'!set -s 20 --fit\n!fix a.png -U 2 -G 0.8\n("a","b").blend(.7,.3) a.swap(b) withLora(x,1) <y>',
]
LISTS = [
    (Path(__file__).parents[2] / "configs" / "models.yaml").read_bytes()[:4000],
    b"mine: {weights: a/b, width: 640, triggers: [x, y], guidance_scale: 7.5}\nbase: &b {weights: c}\nd: {<<: *b}\n",
]
SETTINGS = [b"steps: 30\nfit: true\ndevice: cpu\noutdir: out\nsampler: k_euler\n"]
ROWS = [
    b'{"run": "5f0c12ab", "from": "-"}\n'
    b'{"run": "5f0c12ab", "line": "9d3c", "nth": 1, "number": 12, "draws": [7], "at": 1760000000.0}\n'
    b'{"run": "5f0c12ab", "line": "9d3c", "nth": 1, "picture": "41ab", "file": "000012.7.png", "seed": 7}\n'
    b'{"run": "5f0c12ab", "line": "9d3c", "nth": 1, "done": true}\n'
]


def _heads() -> list[bytes]:
    tensors = {
        name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [at, at + 24]} for at, name in ((0, "a"), (24, "b"))
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    return [struct.pack("<Q", len(header)) + header + bytes(48)]


POCKET = Path(__file__).parents[2] / "invoke" / "pocket"
CONFIGS = ("model_index.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")
SIDECARS = [b"model:\n  target: x.LatentDiffusion\n  params: {parameterization: v, zero_snr: true, cfg_rescale: 0.7}\n"]
PRESETS = [b"oil: '\xe2\x80\xa6, oil painting -C 9'\nsmall: -W 64 -H 64\n"]
SHARDS = [b'{"base": 0, "lines": 4, "run_seed": 1592514025}']
SPEEDS = [
    b'[["pocket", 256, 256, "cpu", "float32", 2, 1, 0.05, 0.2], ["pocket", 64, 64, "cpu", "float32", 2, 4, 0.1, 0.1]]'
]


def _config(data: bytes) -> None:
    """In place of each config of a model in turn."""
    name = CONFIGS[len(data) % len(CONFIGS)]
    folder = Path(tempfile.mkdtemp(dir="."))
    for file in POCKET.rglob("*.*"):
        target = folder / file.relative_to(POCKET)
        target.parent.mkdir(exist_ok=True)
        if target != folder / name:
            target.symlink_to(file)
    (folder / name).write_bytes(data)
    recognise_folder("m", folder)
    check_folder("m", folder)


def _checkpoint(data: bytes) -> None:
    from invoke.engine.process.inert_unpickler import read_tensors

    _file("weights.ckpt", read_tensors)(data)


def _checkpoints() -> list[bytes]:
    import torch

    found = []
    weights = {"a.weight": torch.ones(3, 4), "state_dict": {"b": torch.zeros(2).half()}, "global_step": 7}
    for is_zip in (True, False):
        torch.save(weights, out := io.BytesIO(), _use_new_zipfile_serialization=is_zip)
        found.append(out.getvalue())
    return found


def _sidecar(path: Path) -> None:
    path.rename("weights.yaml")
    read_parametrisation(Path("weights.safetensors"), {}, {})


def _shard(path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="."))
    (folder / ".invoke-shards").mkdir()
    path.rename(folder / ".invoke-shards" / "lines.2.1.json")
    ShardFolder(Shard(1, 2), "lines", 4, resume=True).join(folder)


KINDS: Mapping[str, tuple[Callable[[], list[bytes]], Callable[[bytes], object], float]] = {
    "picture": (_image_files, _open, 0.25),
    "recipe": (_recipes, _recipe, 0.1),
    "prompt": (lambda: LINES, _line, 0.2),
    "list": (lambda: LISTS, _list, 0.15),
    "settings": (lambda: SETTINGS, _file("settings", read_settings), 0.1),
    "ledger": (lambda: ROWS, _file("ledger", lambda path: list(ledger.all_rows(path))), 0.1),
    "safetensors": (_heads, _file("head", read_header), 0.1),
    "config": (lambda: [(POCKET / name).read_bytes() for name in CONFIGS], _config, 0.02),
    "checkpoint": (_checkpoints, _checkpoint, 0.02),
    "sidecar": (lambda: SIDECARS, _file("sidecar", _sidecar), 0.02),
    "presets": (lambda: PRESETS, _file("presets", read_presets), 0.02),
    "shard": (lambda: SHARDS, _file("shard", _shard), 0.01),
    "speeds": (lambda: SPEEDS, _file("speeds", Speeds), 0.01),
}
"""Kind → what is mutated, what reads it, and its share of all mutants."""


def mutant(seed: bytes, random: Random) -> bytes:
    """`seed`, changed in one to four places."""
    data = bytearray(seed)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice([1, 1, 2, 4, 16, 64]))
        match random.randrange(6):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << random.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = random.choice(TOKENS)
            case 3:
                data[at:at] = data[at:end] * random.choice([1, 2, 100])
            case 4:
                del data[at:]
            case _:
                data[at:end] = random.randbytes(end - at)
    return bytes(data)


def campaign(
    count: dict[str, int], random: Random, is_slice: bool, kinds: Iterable[str] = tuple(KINDS)
) -> Iterator[str]:
    """Mutants of every kind, and the whole corpus."""
    total = 1_000 if is_slice else 200_000
    for kind in kinds:
        if is_slice and kind == "checkpoint":
            continue  # torch takes seconds to import, and tests/engine/test_pickles.py has a law of it
        seeds, look, share = KINDS[kind]
        kept = [path.read_bytes() for path in sorted((CORPUS / kind).glob("*"))]
        yield from _tried(kind, kept, look, count)
        originals, left = seeds(), int(total * share)
        while left > 0:
            some = [mutant(random.choice([*originals, *kept]), random) for _ in range(min(left, AT_ONCE))]
            left -= len(some)
            yield from _tried(kind, some, look, count)
            yield ""


def _tried(kind: str, inputs: list[bytes], look: Callable[[bytes], object], count: dict[str, int]) -> Iterator[str]:
    with forks.folder() as place:

        def work() -> tuple[int, str]:
            forks.homed(place)
            os.chdir(place)
            return 0, json.dumps([text for data in inputs if (text := _outcome(look, data, place))])

        ended = forks.run(work, place / "said", 60 + 2 * len(inputs) * BUDGET_SECONDS)
        count["mutants"] += len(inputs)
        found = json.loads(ended.said) if ended.status == 0 else [f"status {ended.status}: {ended.said[-300:]}"]
        if ended.status and (place / "last").exists():
            _keep(kind, (place / "last").read_bytes())
        for text, data in found if ended.status == 0 else [(found[0], "")]:
            if data:
                _keep(kind, bytes.fromhex(data))
            yield f"{kind}: {text}"


def _keep(kind: str, data: bytes) -> None:
    """Add the failed mutants to the corpus."""
    from hashlib import sha256

    (CORPUS / kind).mkdir(parents=True, exist_ok=True)
    (CORPUS / kind / sha256(data).hexdigest()[:12]).write_bytes(data)


def _outcome(look: Callable[[bytes], object], data: bytes, place: Path) -> tuple[str, str] | None:
    """What is wrong with reading `data`, and the data; None if it is read or refused as promised."""
    (place / "last").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    wrong, allowed = "", BUDGET_SECONDS
    try:
        if look is _open:
            allowed += _open(data) * SECONDS_A_PIXEL
        else:
            look(data)
    except InvokeError as error:
        if "\n" in error.message or len(error.message) > 2000:
            wrong = f"no sentence: {error.message[:200]!r}"
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        if look is not _recipe:  # the outer text of the recipes is written by us
            wrong = f"{type(error).__name__}: {error}"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error} {traceback.format_exc()[-400:]}"
    seconds = time.process_time() - began
    if seconds > allowed:
        wrong = wrong or f"{seconds:.1f} s"
    if (more := (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024) > BUDGET_MB:
        wrong = wrong or f"{more} MB"
    return (wrong, data.hex()) if wrong else None
