"""The choices of completion: files, models, the session's pictures and seeds."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from invoke.images import PICTURES
from invoke.images.detectors import DETECTORS
from invoke.language.types import ModelName, Path, Reference, Refiner, Seed, SwitchType
from invoke.models.recognise import PICKLES
from invoke.paths import expanded
from invoke.request import AUTO

MANY = 1000
"""Maximum number of names of a folder to suggest."""
RECALLED = 9
"""How many pictures of the session to suggest as -1, -2, …"""

_ENDINGS = {"picture": PICTURES, "text file": (".txt",), "model": (".safetensors",), "pickle": PICKLES, "folder": ()}
UNTYPABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that are not allowed in a line."""
_SEED_IN_NAME = re.compile(r"\d{6,}\.(\d{1,10})(-\d+)?\.(?:[^.]+\.)?png")
"""`000032.1592514025.png`"""
_PATH_BEGUN = re.compile(r"[~.]|.*[/\\]")

Choice = tuple[str, str]
"""A value, without quotes, and a short description."""


def _nothing(path: str) -> Iterable[tuple[str, bool]]:
    return ()


def _no_word(path: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that completion can suggest."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""
    added: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind of other entries (`controlnet`, `upscaler`, …) → name → description."""
    made: Sequence[tuple[str, int]] = ()
    """(path, seed) of the pictures of this session, oldest first."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Long name → value of the switches changed with `!set`."""
    presets: Callable[[], Mapping[str, str]] = dict
    """Returns the presets (`+name`): name → line."""
    wildcards: Callable[[], Iterable[str]] = tuple
    """Returns the names of the wildcard files."""
    outdir: str = "outputs"
    """The output folder, where pictures are also searched."""
    folder: Callable[[str], Iterable[tuple[str, bool]]] = _nothing
    """Lists a folder: names, and whether each is a folder; empty if it cannot be read."""
    about_picture: Callable[[str], str] = _no_word


def choices(kind: SwitchType, typed: str, sources: Sources) -> Iterator[Choice]:
    """The values of `kind` that match `typed`."""
    match kind:
        case Path(what="control picture"):
            yield from matching(typed, {AUTO + name: row.summary for name, row in DETECTORS.items()})
            yield from choices(Path("picture"), typed, sources)
        case Path(what="picture"):
            yield from _recalled(typed, [path for path, _ in sources.made])
            yield from paths("picture", typed, sources)
        case Path(what=what):
            yield from paths(what, typed, sources)
        case Reference(parts=(model, picture, _)):
            yield from choices(model, typed, sources)
            yield from choices(picture, typed, sources)
        case ModelName(what=what) if what != "model":
            yield from models(typed, sources, sources.added.get(what, {}))
        case ModelName() | Refiner():
            yield from models(typed, sources)
        case Seed():
            yield from _seeds(typed, sources)
        case _:
            yield from matching(typed, kind.suggest())


def matching(typed: str, candidates: Mapping[str, str]) -> Iterable[Choice]:
    """The `candidates` that begin with `typed`, else those that contain it, else those that match it fuzzily."""
    lowered = typed.lower()
    begin = [(name, word) for name, word in candidates.items() if name.lower().startswith(lowered)]
    hold = begin or [(name, word) for name, word in candidates.items() if lowered in name.lower()]
    return hold or [(name, word) for name, word in candidates.items() if is_scattered(lowered, name.lower())]


def is_scattered(letters: str, name: str) -> bool:
    """Whether `name` begins with the first letter and contains the others in order: `kdpa` in `k_dpm_2_a`."""
    rest = iter(name)
    return name[:1] == letters[:1] and all(letter in rest for letter in letters)


def models(typed: str, sources: Sources, candidates: Mapping[str, str] | None = None) -> Iterable[Choice]:
    """Models (or `candidates`) by name; folders and files once `typed` looks like a path."""
    if _PATH_BEGUN.match(typed):
        return paths("model", typed, sources)
    return matching(typed, sources.models if candidates is None else candidates)


def paths(what: str, typed: str, sources: Sources) -> Iterator[Choice]:
    """Folders, and files of the kind `what`, spelled like the beginning in `typed`."""
    if typed == "~":
        yield "~/", "home"
        return
    name = os.path.basename(typed)  # noqa: PTH119 - "a/" has the name ""
    lead = typed[: len(typed) - len(name)]
    # the spelling of an ASCII folder is its own
    place = os.path.expanduser(lead) if lead.isascii() else str(expanded(lead))  # noqa: PTH111
    seen = set()
    for found, is_folder in _listed(place or ".", name, sources):
        seen.add(found)
        if is_folder:
            yield f"{lead}{_as_begun(name, found)}/", "folder"
        elif _is_a(what, found):
            path = os.path.join(place, found)  # noqa: PTH118
            yield lead + _as_begun(name, found), sources.about_picture(path) if what == "picture" else ""
    if what == "picture" and name and not lead:
        for found, is_folder in _listed(sources.outdir, name, sources):
            if found not in seen and not is_folder and _is_a(what, found):
                path = os.path.join(sources.outdir, found)  # noqa: PTH118
                yield _as_begun(name, found), sources.about_picture(path)


def _as_begun(begun: str, name: str) -> str:
    """`name` in the Unicode normal form of `begun`, which it continues; either form finds the file."""
    if name.startswith(begun):
        return name
    return unicodedata.normalize("NFC" if unicodedata.is_normalized("NFC", begun) else "NFD", name)


def _begins(name: str, begun: str) -> bool:
    """Whether `name` begins with `begun`, regardless of Unicode normal form."""
    if name.startswith(begun) or begun.isascii():
        return name.startswith(begun)
    return unicodedata.normalize("NFC", name).startswith(unicodedata.normalize("NFC", begun))


def _listed(place: str, name: str, sources: Sources) -> list[tuple[str, bool]]:
    """The entries of a folder that begin with `name`; hidden files only if `name` begins with a dot.

    Of very many, only the first ones and the last, which is enough to find their common prefix.
    """
    begin = sorted(entry for entry in sources.folder(place) if _begins(entry[0], name) and (name or entry[0][0] != "."))
    if len(begin) > MANY:
        begin[MANY - 1 : -1] = []
    return [entry for entry in begin if not UNTYPABLE.search(entry[0])]


def _is_a(what: str, name: str) -> bool:
    return what not in _ENDINGS or name.lower().endswith(_ENDINGS[what])


def _recalled(typed: str, made: Sequence[str]) -> Iterator[Choice]:
    """-1, -2, … with the pictures they refer to."""
    for back, path in enumerate(reversed(made[-RECALLED:]), start=1):
        if f"-{back}".startswith(typed):
            yield f"-{back}", path


def _seeds(typed: str, sources: Sources) -> Iterator[Choice]:
    """The seeds of the pictures made, newest first; as -1, -2 where `typed` begins so."""
    if typed.startswith("-"):
        yield from _recalled(typed, [f"{seed}  {path}" for path, seed in sources.made])
        return
    names = sorted(name for name, is_folder in sources.folder(sources.outdir) if not is_folder)
    newest = {found[1]: name for name in names[-MANY:] if (found := _SEED_IN_NAME.match(name))}
    for path, seed in sources.made:
        newest.pop(str(seed), None)
        newest[str(seed)] = path
    yield from ((seed, path) for seed, path in reversed(newest.items()) if seed.startswith(typed))
