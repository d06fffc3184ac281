"""`--print-completion`: completion scripts for bash, zsh and fish, generated from the tables.

The script contains all names, so that Tab does not start the program; print it again to include new models.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

from invoke.language.command_table import COMMANDS
from invoke.language.launch_options import OPTIONS, Option
from invoke.language.switches import SWITCHES, Switch
from invoke.language.types import Control, ModelName, Path, Reference, Refiner, SwitchType
from invoke.models import Registry
from invoke.text import clean

PROGRAMS = ("invoke", "invoke-shell")

_ZSH = '\\"$`'
_PLAIN = re.compile(r"[\w.+@-]+")


@dataclass(frozen=True, slots=True)
class Value:
    """A word after a switch."""

    what: str
    """Description as in help: `0..1`, `path`."""
    files: str = ""
    """`any` or `folders` if the word is a path; else ""."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Possible value → description."""


@dataclass(frozen=True, slots=True)
class Row:
    """A switch or launch option."""

    spellings: tuple[str, ...]
    """All names, with dashes."""
    help: str
    values: tuple[Value, ...]
    """Empty for a flag."""


def script(shell: str, models: Registry) -> str:
    """The script for `shell`, a choice of `--print-completion`."""
    rows = [*(_of_option(row) for row in OPTIONS if not row.pending)]
    rows += [_of_switch(row, models) for row in SWITCHES if not (row.pending or row.obsolete)]
    rows += [*_twins({name for row in rows for name in row.spellings})]
    return _SHELLS[shell](rows)


# rows
def _of_option(option: Option) -> Row:
    short = (f"-{option.short}",) if option.short else ()
    value = Value(
        option.metavar,
        "any" if "FILE" in option.metavar else "",
        dict.fromkeys(option.choices or option.suggestions, ""),
    )
    return Row((*short, f"--{option.name.replace('_', '-')}"), option.help, (value,) if option.metavar else ())


def _twins(taken: Container[str]) -> Iterator[Row]:
    """Rows for the `--no-` twins of flags that are not flags of their own."""
    flags = [(option.twin.replace("_", "-"), option.name) for option in OPTIONS if option.is_flag and not option.once]
    flags += [(f"no-{row.name}", row.name) for row in SWITCHES if row.is_flag and not (row.pending or row.obsolete)]
    for twin, name in flags:
        if f"--{twin}" not in taken:
            yield Row((f"--{twin}",), f"undoes --{name.replace('_', '-')}", ())


def _commands() -> Mapping[str, str]:
    """Commands that can be used as a line → description."""
    return {f"!{row.name}": row.help for row in COMMANDS if (row.in_file or row.alone) and not row.pending}


def _of_switch(row: Switch, models: Registry) -> Row:
    names = (*(f"-{name}" for name in row.short), *(f"--{name}" for name in (row.name, *row.synonyms)))
    types = row.type.parts[:2] if isinstance(row.type, Control | Reference) else (row.type,)
    return Row(names, row.help, () if row.is_flag else tuple(_value(kind, models) for kind in types))


def _value(kind: SwitchType, models: Registry) -> Value:
    match kind:
        case Path(what=what):
            return Value(what, "folders" if what == "folder" else "any")
        case ModelName(what=what):
            return Value(what, "any", _named(what, models))
        case Refiner():
            return Value("model", "", _named("model", models))
    return Value(kind.describe(), "", kind.suggest())


def _named(kind: str, models: Registry) -> Mapping[str, str]:
    """Models by name and description; only names without special characters, since users choose them."""
    plain = (spec for spec in models if spec.kind == kind and _PLAIN.fullmatch(spec.name))
    return {spec.name: clean(spec.description) for spec in plain}


# bash
def _bash(rows: list[Row]) -> str:
    first = "\n".join(_bash_case(row.spellings, row.values[0]) for row in rows if row.values)
    second = "\n".join(_bash_case(row.spellings, row.values[1]) for row in rows if len(row.values) > 1)
    return f"""\
# bash completion for invoke: source it, or write it to ~/.local/share/bash-completion/completions/invoke
_invoke_words() {{
    local word
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$@" -- "$cur")
}}
_invoke_files() {{
    compopt -o filenames 2>/dev/null
    _invoke_words "$@"
}}
_invoke() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} at=$((COMP_CWORD - 1))
    COMPREPLY=()
    # bash splits --name=value into three words
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ ${{COMP_WORDS[at]}} == "=" ]]; then
        at=$((at - 1))
    fi
    case ${{COMP_WORDS[at]}} in
{first}
    esac
    if ((at > 1)); then
        case ${{COMP_WORDS[at - 1]}} in
{second}
        esac
    fi
    if [[ $cur == -* ]]; then
        _invoke_words -W {_single(" ".join(name for row in rows for name in row.spellings))}
    elif [[ $cur == !* ]]; then
        _invoke_words -W {_single(" ".join(_commands()))}
    fi
}}
complete -F _invoke {" ".join(PROGRAMS)}
"""


def _bash_case(spellings: tuple[str, ...], value: Value) -> str:
    asked = [f"_invoke_words -W {_single(' '.join(value.choices))}"] if value.choices else []
    asked += [f"_invoke_files {'-d' if value.files == 'folders' else '-f'}"] if value.files else []
    return f"        {' | '.join(spellings)}) {'; '.join([*asked, 'return'])} ;;"


# zsh
def _zsh(rows: list[Row]) -> str:
    specs = " \\\n".join(f"    {spec}" for row in rows for spec in _zsh_specs(row))
    named = {value.what: value.choices for row in rows for value in row.values if value.files and value.choices}
    lists = "\n".join(_zsh_list(what, choices) for what, choices in named.items())
    return f"""\
#compdef {" ".join(PROGRAMS)}
# zsh completion for invoke: source it after compinit, or write it to a file _invoke in a folder of $fpath
{lists}
{_zsh_list("line", _commands(), files="")}
_invoke() {{
    _arguments \\
{specs} \\
        '*:line:_invoke_line'
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _invoke "$@"; else compdef _invoke {" ".join(PROGRAMS)}; fi
"""


def _zsh_specs(row: Row) -> Iterator[str]:
    """One spec for each spelling; switches may be repeated, as the last one wins."""
    values = "".join(f":{_zsh_text(value.what)}:{_zsh_action(value)}" for value in row.values)
    for name in row.spellings:
        glued = "=" if row.values and name.startswith("--") else ""
        yield _single(f"*{name}{glued}[{_zsh_text(row.help)}]{values}")


def _zsh_action(value: Value) -> str:
    if value.files and value.choices:
        return f"_invoke_{value.what}"
    listed = " ".join(
        rf"{_zsh_text(name)}\:{_double(_zsh_text(word or name), _ZSH)}" for name, word in value.choices.items()
    )
    return f"(({listed}))" if listed else {"any": "_files", "folders": "_files -/", "": " "}[value.files]


def _zsh_list(what: str, choices: Mapping[str, str], files: str = "\n    _files") -> str:
    """A zsh function that completes names, or files as well."""
    names = " ".join(_single(f"{_zsh_text(name)}:{word}") for name, word in choices.items())
    return f"_invoke_{what}() {{\n    local -a names=({names})\n    _describe {what} names{files}\n}}"


def _zsh_text(text: str) -> str:
    for letter in "\\:[]":
        text = text.replace(letter, f"\\{letter}")
    return text


# fish
def _fish(rows: list[Row]) -> str:
    lines = [f"complete -c invoke {_fish_options(row)} -d {_fish_single(row.help)}" for row in rows]
    return "\n".join(
        [
            "# fish completion for invoke: write it to ~/.config/fish/completions/invoke.fish",
            "complete -c invoke -f",
            *lines,
            *(
                f"complete -c invoke -a {_fish_single(name)} -d {_fish_single(text)}"
                for name, text in _commands().items()
            ),
            *(f"complete -c {name} -w invoke" for name in PROGRAMS[1:]),
            "",
        ]
    )


def _fish_options(row: Row) -> str:
    words = [f"-{_fish_kind(name)} {name.lstrip('-')}" for name in row.spellings]
    if row.values:
        value = row.values[0]
        words.append("-r -F" if value.files == "any" else "-x")
        listed = [f"{name}\\t{_double(word)}" for name, word in value.choices.items()]
        if value.files == "folders":
            listed.append("(__fish_complete_directories)")
        words += [f"-a {_fish_single(' '.join(listed))}"] if listed else []
    return " ".join(words)


def _fish_kind(name: str) -> str:
    """The option of fish's `complete` for a long name, a letter, or a short name of several letters."""
    return "l" if name.startswith("--") else "s" if len(name) == 2 else "o"


def _fish_single(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _double(text: str, special: str = '\\"$') -> str:
    """Put in double quotes, with a backslash before `special` characters."""
    for letter in special:
        text = text.replace(letter, f"\\{letter}")
    return f'"{text}"'


def _single(text: str) -> str:
    """Quote as one word for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: Mapping[str, Callable[[list[Row]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
