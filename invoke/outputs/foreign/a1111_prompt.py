"""Translates A1111's prompt syntax to ours and back.

Theirs: `(x)` is 1.1, `[x]` is 1/1.1, `(x:1.3)` is 1.3, `\\(` is a bracket, BREAK begins a new chunk, `[a:b:0.5]` and
`[a|b]` change words during sampling, `<lora:name:0.8>` adds a LoRA. Weights of nested brackets multiply.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invoke.prompts import Blend, Conjunction, Fragment, ParsedText, Prompt, Words
from invoke.prompts.calls import OLD_WEIGHT
from invoke.prompts.marks import LARGEST
from invoke.text import render_number

STEP = 1.1
"""Factor of a bracket."""
DIGITS = 4
"""Decimal places of a translated weight."""

_NETWORK = re.compile(r"<(\w+)(?:\[[^\[\]<>]*\])?:([^<>]+)>")
_NAME = re.compile(r"[\w.-]+")
_INNERMOST = re.compile(r"(?<!\\)\[((?:[^\[\]\\]|\\.)*)\]", re.DOTALL)
_IN_SCHEDULE = r"(?:\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)|[^:\\]|\\.)*+"
"""Words with their weights, whose colons belong to them."""
_SCHEDULED = re.compile(
    rf"(?:(?P<before>{_IN_SCHEDULE}):)?(?P<after>{_IN_SCHEDULE}):\s*(?P<when>\d+\.?\d*|\.\d+)\s*", re.DOTALL
)
_BREAK = "BREAK"
_TOKEN = re.compile(
    r"""(?P<escaped>\\.?)
    | (?P<open>\()
    | (?P<weight>:\s*(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*\))
    | (?P<close>\))
    | (?P<square>\[)
    | (?P<next>\bBREAK\b)
    | (?P<text>(?:(?!\bBREAK\b)[^\\()\[:])+|[:\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_OURS = re.compile(r'[()\[\]"]|(?<!\w)[+-]|[+-](?!\w)')
"""Characters with a meaning in our prompts."""
_THEIRS = re.compile(r"[\\()\[\]]")


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated text, and what could not be translated."""

    text: str
    left_out: tuple[str, ...] = ()


def to_ours(text: str, steps: int = 0) -> Translation:
    """Translate A1111's prompt `text` to our syntax; of changing words, those in effect the longest are kept.

    `steps` is the length of the schedule, in which `[a:b:10]` counts.
    """
    left_out: list[str] = []
    text, loras = _without_networks(" ".join(text.split()), left_out)
    if re.search(r"\bAND\b", text):
        left_out.append("AND (several prompts at once; it is read as a word)")
    text = _without_squares(text, steps, left_out)
    chunks = [_rendered(chunk, left_out) for chunk in read_attention(text)]
    chunks = [chunk for chunk in chunks if chunk]
    if len(chunks) > 1:
        quoted = ", ".join(f'"{chunk}"' for chunk in chunks)
        chunks = [f"({quoted}).and()"]
    return Translation(" ".join([*loras, *chunks]), tuple(left_out))


def read_attention(text: str) -> list[list[Fragment]]:
    """The weighted fragments of each chunk of `text`, which has no `[changing:words:0.5]`."""
    chunks: list[list[tuple[str, float]]] = [[]]
    opened: list[tuple[int, int]] = []
    squares: list[tuple[int, int]] = []
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup if found.lastgroup != "number" else "weight"
        if kind == "open":
            opened.append((len(chunks) - 1, len(chunks[-1])))
        elif kind == "square":  # it is never closed
            squares.append((len(chunks) - 1, len(chunks[-1])))
        elif kind in {"close", "weight"} and opened:
            _weigh(chunks, *opened.pop(), float(found["number"]) if kind == "weight" else STEP)
        elif kind == "next":
            chunks.append([])
        else:
            typed = found.group()
            chunks[-1].append((typed[1:] if kind == "escaped" else typed, 1.0))
    for place in opened:
        _weigh(chunks, *place, STEP)
    for place in squares:
        _weigh(chunks, *place, 1 / STEP)
    return [_merged(chunk) for chunk in chunks]


def _weigh(chunks: list[list[tuple[str, float]]], chunk: int, start: int, weight: float) -> None:
    """Multiply the weights of everything since `start` of `chunk`."""
    for number in range(chunk, len(chunks)):
        first = start if number == chunk else 0
        chunks[number][first:] = [(text, weight * before) for text, before in chunks[number][first:]]


def _merged(parts: Iterable[tuple[str, float]]) -> list[Fragment]:
    merged: list[Fragment] = []
    for text, weight in parts:
        if merged and abs(merged[-1].weight - weight) < 1e-9:
            merged[-1] = Fragment(merged[-1].text + text, weight)
        else:
            merged.append(Fragment(text, weight))
    return [fragment for fragment in merged if fragment.text]


def _without_networks(text: str, left_out: list[str]) -> tuple[str, list[str]]:
    """Remove `<lora:…>` from `text`, and return them in our syntax."""
    loras: dict[str, str] = {}

    def translate(match: re.Match[str]) -> str:
        kind, (name, *numbers) = match[1].lower(), match[2].split(":")
        weight = numbers[0] if numbers else "1"
        fits = kind in {"lora", "lyco"} and _NAME.fullmatch(name) and re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", weight)
        if not fits or len(set(numbers)) > 1 or name in loras or abs(float(weight)) > LARGEST:
            left_out.append(match[0])
        else:
            loras[name] = f"withLora({name},{weight})"
        return " "

    return _NETWORK.sub(translate, text), list(loras.values())


def _without_squares(text: str, steps: int, left_out: list[str]) -> str:
    """Replace `[x]` with `(x:0.909…)`, and `[a:b:0.5]` and `[a|b]` with the words in effect the longest."""

    def translate(match: re.Match[str]) -> str:
        inside = match[1]
        if scheduled := _SCHEDULED.fullmatch(inside):
            before, after = scheduled["before"] or "", scheduled["after"]
            kept = after if _share(scheduled["when"], steps) < 0.5 else before
            left_out.append(f"{match[0]} (read as {kept.strip() or 'nothing'})")
            return kept
        if "|" in inside:
            kept = inside.partition("|")[0]
            left_out.append(f"{match[0]} (read as {kept.strip() or 'nothing'})")
            return kept
        return f"({inside}:{1 / STEP!r})" if inside else ""

    before = None
    while before != text:
        before, text = text, _INNERMOST.sub(translate, text)
    return text


def _share(when: str, steps: int) -> float:
    """When words change, as a fraction of the schedule: `0.3` is a fraction, `10` a step."""
    value = float(when)
    return value if value < 1 or ("." in when and value <= 1) else value / (steps or 50)


def _rendered(fragments: Sequence[Fragment], left_out: list[str]) -> str:
    """Render `fragments` in our syntax."""
    parts: list[str] = []
    for fragment in fragments:
        weight, words = round(fragment.weight, DIGITS), fragment.text.strip()
        if weight == 1 or not words:
            parts.append(_escaped(fragment.text))
        elif weight < 0 or weight > LARGEST:
            left_out.append(f"({words}:{render_number(weight)})")
        else:
            if parts and not parts[-1].endswith(" "):
                parts.append(" ")
            parts.append(f"({_escaped(words)}){render_number(weight)} ")
    text = "".join(parts)
    text = OLD_WEIGHT.sub(lambda match: f"\\{match[0]}", text)
    return re.sub(r" +([,.;!?](?:\s|$))", r"\1", " ".join(text.split()))


def _escaped(text: str) -> str:
    return _OURS.sub(lambda match: f"\\{match[0]}", text)


def to_theirs(prompt: Prompt) -> tuple[Translation, Translation]:
    """Translate our positive and negative prompt to A1111's syntax."""
    left_out: list[str] = []
    loras = [f"<lora:{name}:{render_number(weight)}>" for name, weight in prompt.loras]
    positive = " ".join(filter(None, [_as_text(prompt.positive, left_out), *loras]))
    lost: list[str] = []
    return Translation(positive, tuple(left_out)), Translation(_as_text(prompt.negative, lost), tuple(lost))


def _as_text(text: ParsedText, left_out: list[str]) -> str:
    if isinstance(text, Words):
        if text.swaps:
            left_out.append(".swap()")
        return _attention(text.original)
    parts = [_attention(words.original) for words in text.texts]
    if isinstance(text, Conjunction):
        if len(set(text.weights)) > 1:
            left_out.append("the weights of .and()")
        return f" {_BREAK} ".join(parts)
    assert isinstance(text, Blend)
    left_out.append(".blend()")
    return ", ".join(filter(None, parts))


def _attention(fragments: Iterable[Fragment]) -> str:
    parts = []
    for fragment in fragments:
        words, weight = _THEIRS.sub(lambda match: f"\\{match[0]}", fragment.text), round(fragment.weight, DIGITS)
        parts.append(words if weight == 1 else f"({words}:{render_number(weight)})")
    return re.sub(r" ([,.;!?](?:\s|$))", r"\1", " ".join(parts))
