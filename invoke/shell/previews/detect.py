"""Chooses the kind of previews for a terminal, by its environment."""

from collections.abc import Mapping
from typing import Literal

from invoke.language.launch_options import Preview
from invoke.shell.escapes import is_tmux
from invoke.shell.previews.protocols import Kind

_KITTY = ("xterm-kitty", "xterm-ghostty")
_KITTY_PROGRAMS = ("ghostty",)
_SIXEL = ("foot", "mlterm", "contour")
_KONSOLE = 220400
"""The first version with sixels."""
_ITERM2_PROGRAMS = ("iTerm.app", "WezTerm", "mintty")


def choose(preview: Preview, environment: Mapping[str, str], encoding: str = "utf-8") -> Kind:
    """Choose the kind of previews for a terminal with cursor movement; `encoding` is that of its stream.

    A kind given explicitly overrides NO_COLOR.
    """
    match preview:
        case "off":
            return "none"
        case "kitty":
            return "kitty in tmux" if is_tmux(environment) else "kitty"
        case "iterm2":
            return "iterm2 in tmux" if is_tmux(environment) else "iterm2"
        case "sixel":  # tmux supports these itself since 3.4
            return "sixel"
        case "blocks":
            return _blocks(environment, encoding)
    if environment.get("NO_COLOR"):
        return "none"
    return _protocol(environment) or _blocks(environment, encoding)


def _protocol(environment: Mapping[str, str]) -> Literal["kitty", "iterm2", "sixel"] | None:
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if _is_multiplexed(environment):
        return None
    if term in _KITTY or program in _KITTY_PROGRAMS or (environment.get("KITTY_WINDOW_ID") and not program):
        return "kitty"
    if program in _ITERM2_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    konsole = environment.get("KONSOLE_VERSION", "")
    if term.startswith(_SIXEL) or (konsole.isdecimal() and int(konsole) >= _KONSOLE):
        return "sixel"
    return None


def _is_multiplexed(environment: Mapping[str, str]) -> bool:
    """Whether it is tmux or screen, which pass pictures on only if their settings allow it."""
    is_screen = bool(environment.get("STY")) or environment.get("TERM", "").startswith("screen")
    return is_screen or is_tmux(environment)


def _blocks(environment: Mapping[str, str], encoding: str) -> Kind:
    windows_terminal = "WT_SESSION" in environment
    if not encoding.lower().startswith("utf") or not (environment.get("TERM") or windows_terminal):
        return "none"
    return "24-bit" if windows_terminal or environment.get("COLORTERM") in {"truecolor", "24bit"} else "256"
