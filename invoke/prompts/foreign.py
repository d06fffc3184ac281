"""Syntax of other programs that is plain text here, or has another meaning."""

import re
from collections.abc import Iterator

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"\((?P<a>[^():]+):\s*(?P<b>{_NUMBER})\s*\)"), "is read as words: for a weight, type ({a}){b}"),
    (
        re.compile(rf"<lora:(?P<a>[^:<>]+):(?P<b>{_NUMBER})(?::[^<>]*)?>"),
        "is read as words: for a LoRA, type withLora({a}, {b})",
    ),
    (re.compile(r"<lora:(?P<a>[^:<>]+)>"), "is read as words: for a LoRA, type withLora({a}, 1)"),
    (re.compile(r"^/imagine\b(?:\s+prompt:)?"), "is read as words: type the prompt alone"),
    (
        re.compile(r"\bNegative prompt:"),
        "is read as words: type --negative_prompt, or [brackets], for what to keep out",
    ),
    (re.compile(r"\bSteps: ?(?P<a>\d+), "), "is read as words: settings are typed as switches, such as -s {a}"),
    (
        re.compile(rf"\[(?P<a>[^\[\]:|]*):(?P<b>[^\[\]:|]+):\s*{_NUMBER}\s*\]"),
        'is read as a negative prompt: to change words on the way, type {a}.swap({b}), or "{a} |> {b} -f 0.5" after it',
    ),
    (
        re.compile(rf"\[(?P<a>[^\[\]:|]+)::?\s*{_NUMBER}\s*\]"),
        "is read as a negative prompt: words cannot come or go on the way; type {a} without brackets",
    ),
    (
        re.compile(r"\[(?P<a>[^\[\]:|]+)\|(?P<b>[^\[\]]+)\]"),
        'is read as a negative prompt: to mix, type ("{a}", "{b}").blend(1, 1)',
    ),
    (re.compile(r"\(\([^()]+\)\)+"), "is read as words without a weight: for more weight, type (words)1.2 or word++"),
    (re.compile(r"\bBREAK\b"), 'is read as a word: for several parts, type ("one part", "another").and()'),
    (re.compile(r"(?<=\s)AND(?=\s)"), 'is read as a word: for several parts, type ("one part", "another").and()'),
    (re.compile(r"\bembedding:(?P<a>[\w.-]+)"), "is read as words: for a textual inversion, type <{a}>"),
    (
        re.compile(r"<(?:hypernet|lyco):[^<>]+>"),
        "is read as words: only LoRAs are supported, as withLora(name, weight)",
    ),
    (re.compile(r"\((?P<a>[^()]+)\)(?P<b>-[0-9.]+)"), "is not a negative weight: to keep something out, type [{a}]"),
    (re.compile(r"(?<!\w)(?P<a>[^\W\d]\w*)(?P<b>[+]{8,}|-{8,})"), "is more than helps: ({a})1.5 is strong"),
    (re.compile(r"\{[^{}]*\|[^{}]*\}"), "is read as words: with --wild, one of them is drawn"),
    (re.compile(r"__(?P<a>[^\W_][\w./-]*?)__"), "is read as words: with --wild, a line of {a}.txt is drawn"),
    (re.compile(r"\{+(?P<a>[^{}|]+)\}+"), "is read as words: for more weight, type ({a})1.05"),
    (re.compile(r"(?P<a>\w+)::(?P<b>[0-9.]+)"), "is read as words: for a weight, type ({a}){b}"),
    (
        re.compile(r"[\uff08](?P<a>[^\uff08\uff09]+)[\uff09](?P<b>[0-9.]*)"),
        "has full-width brackets, which are read as letters: type ({a}){b}",
    ),
)
"""Pattern and hint, in which the named groups are filled in."""


def foreign(prompt: str) -> Iterator[str]:
    """A hint for each use of another program's syntax, with the equivalent here."""
    for pattern, hint in _FORMS:
        for match in pattern.finditer(prompt):
            groups = {name: (text or "").strip() for name, text in match.groupdict().items()}
            yield f"{match[0]} {hint.format(**groups)}"
