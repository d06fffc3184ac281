"""Untrusted YAML, read within limits before anything is constructed.

Only what lists and settings need is read: mappings, lists, and words whose kind the letters themselves tell. Sizes,
depth, aliases and tags are looked at while the parser goes along, so that neither 100,000 brackets nor aliases of
aliases cost more than the bytes that hold them.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml import Node, ScalarNode

LARGEST = 1_000_000
"""Largest file, in bytes."""
DEEPEST = 8
"""Deepest nesting of collections."""
MOST_NODES = 100_000
"""Largest number of scalars and collections, counting aliases."""
LONGEST_NUMBER = 400
"""Longest number, in characters."""

_TAG = "tag:yaml.org,2002:"
NOTHING, TRUTH, WHOLE, NUMBER, TEXT = (_TAG + kind for kind in ("null", "bool", "int", "float", "str"))
MERGE = _TAG + "merge"
"""The tag of `<<: *name`: entries of another mapping, below this one's own."""
_ALLOWED = {NOTHING, TRUTH, WHOLE, NUMBER, TEXT, _TAG + "map", _TAG + "seq"}
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")


class YamlError(ValueError):
    """What is wrong with a text, with its line if known."""


def compose(text: str, deepest: int = DEEPEST) -> "Node | None":
    """The nodes of `text`, each with its place (`start_mark`); None where it says nothing. Raises YamlError."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if len(text) > LARGEST:
        raise YamlError("it is larger than 1 MB")
    try:
        for event in _within_budget(yaml.parse(text, loader), deepest):
            _check_tag(event)
        node = yaml.compose(text, loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(_reason(error)) from None
    if node is not None:
        _count(node, {}, frozenset())
    return node


def load(text: str) -> Any:
    """`text` as mappings, lists, strings, numbers, booleans and None. Raises YamlError."""
    node = compose(text)
    return None if node is None else plain(node)


def plain(node: "Node") -> Any:
    """The value of `node`. Dates stay strings. Raises YamlError."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    made: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(f"line {key.start_mark.line + 1}: a name must be a word")
        if key.tag == MERGE and isinstance(value, yaml.MappingNode):
            merged |= plain(value)
        else:
            made[plain(key)] = plain(value)
    return merged | made


def scalar(node: "ScalarNode") -> str | int | float | bool | None:
    """The scalar `node`. Raises YamlError if it does not match its tag."""
    text: str = node.value
    try:
        if node.tag == NOTHING:
            return None
        if node.tag == TRUTH:
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text.lower()]
        if node.tag in {WHOLE, NUMBER}:
            return _number(text, whole=node.tag == WHOLE)
    except (KeyError, ValueError, OverflowError):
        kind = {TRUTH: "true or false", WHOLE: "a whole number"}.get(node.tag, "a number")
        raise YamlError(f"line {node.start_mark.line + 1}: must be {kind}, not '{text[:40]}'") from None
    return text


def _number(text: str, *, whole: bool) -> int | float:
    """Raises ValueError, KeyError or OverflowError."""
    if len(text) > LONGEST_NUMBER:
        raise ValueError
    if whole:
        letters = text.replace("_", "")
        if _DECIMAL.fullmatch(text) and not re.match(r"[-+]?0[0-9]", letters):
            return int(letters)
        return int(letters, 0) if ":" not in text else _sixty(letters)
    if text.lower().lstrip("+-") in {".inf", ".nan"}:
        return float(text.replace(".", "", 1))
    return float(text.replace("_", ""))


def _sixty(text: str) -> int:
    """`1:30` is 90 in YAML 1.1."""
    made = 0
    for digits in text.lstrip("+-").split(":"):
        made = made * 60 + int(digits)
    return -made if text.startswith("-") else made


def _within_budget(events: Iterator[Any], deepest: int) -> Iterator[Any]:
    import yaml

    depth = 0
    for count, event in enumerate(events):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > deepest:
            raise YamlError(f"line {event.start_mark.line + 1}: nested more than {deepest} deep")
        if count > 2 * MOST_NODES:
            raise YamlError(f"it has more than {MOST_NODES:,} words")
        yield event


def _check_tag(event: Any) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!" and tag not in _ALLOWED:
        shown = tag.replace(_TAG, "!!")[:40]
        raise YamlError(f"line {event.start_mark.line + 1}: the tag {shown} is not supported")


def _count(node: "Node", sizes: dict[int, int], above: frozenset[int]) -> int:
    """The number of nodes below `node`, counting aliases each time. Raises YamlError."""
    if id(node) in above:
        raise YamlError(f"line {node.start_mark.line + 1}: an alias that refers to itself")
    if id(node) not in sizes:
        import yaml

        children: list[Any] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        inside = above | {id(node)} if children else above
        size = 1
        for child in children:
            size += _count(child, sizes, inside)
            if size > MOST_NODES:
                raise YamlError(f"its aliases expand to more than {MOST_NODES:,} words")
        sizes[id(node)] = size
    return sizes[id(node)]


def _reason(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        if problem == "exceeded maximum nesting depth":  # libyaml's own limit, which PyYAML 6.0.4 may reach first
            problem = f"nested more than {DEEPEST} deep"
        return f"line {mark.line + 1}: {problem}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
