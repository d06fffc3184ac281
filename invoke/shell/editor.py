"""The line editor: prompt_toolkit with our completion, history, keys and toolbar."""

import os
from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, vi_navigation_mode
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from invoke.language.complete.diagnostics import Diagnostic, Resolve
from invoke.language.complete.sources import Sources
from invoke.language.launch_options import EditingKeys
from invoke.language.parse import COMMENTS
from invoke.shell import colours
from invoke.shell.completer import RecalledHistory, TableCompleter
from invoke.shell.history import History
from invoke.shell.key_bindings import inserted, line_keys
from invoke.shell.proofreader import Proofreader, Underline
from invoke.shell.toolbar import shortened
from invoke.text import clean

PROMPT = "invoke> "
_ESCAPE = (0.05, 0.25)
"""With vi keys, seconds after which Escape counts as a key: no sequence, and no other key, followed."""
STYLE = {**colours.STYLE, "wrong": "underline ansired"}
NO_COLOUR_STYLE = {"wrong": "underline", "auto-suggestion": "dim"}
"""Without colours, suggestions from the history need another style to differ from typed text."""


def paste_question(lines: Sequence[str]) -> str:
    """The question before pasted `lines` are run."""
    return f"{len(lines)} lines pasted: run each? [Y/n]"


def show_escaped() -> None:
    """Make prompt_toolkit escape bidirectional formatting characters like `text.clean`, wherever it draws them.

    Completed file names are in the line unescaped; in cells, menus and toolbars they must not affect the display.
    """
    turning = {chr(code) for block in _TURNING for code in block}
    Char.display_mappings |= {char: clean(char) for char in turning if clean(char) != char}


_TURNING = (range(0x61C, 0x61D), range(0x200B, 0x2070), range(0xFEFF, 0xFF00), range(0xFFF9, 0xFFFC))
"""Unicode blocks with formatting characters; prompt_toolkit itself shows control characters as ^X."""


class Editor:
    """Edits one line."""

    def __init__(  # noqa: PLR0913 - parts, by keyword
        self,
        *,
        history: History,
        sources: Callable[[], Sources],
        resolve: Resolve,
        toolbar: Callable[[str], str],
        editing_keys: EditingKeys = "emacs",
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        show_escaped()
        self._pasted = False
        self._completer = TableCompleter(sources)
        self._toolbar = toolbar
        self._toolbar_shown = True
        self._resolve = resolve
        self._proofreader = Proofreader(resolve)
        self.session: PromptSession[str] = PromptSession(
            PROMPT,
            history=RecalledHistory(history),
            completer=self._completer,
            complete_while_typing=False,
            complete_in_thread=True,
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
            enable_open_in_editor=True,
            enable_suspend=True,
            tempfile_suffix=".txt",
            editing_mode=EditingMode.VI if editing_keys == "vi" else EditingMode.EMACS,
            prompt_continuation=lambda width, number, wrapped: " " * width,
            bottom_toolbar=self._draw_toolbar,
            lexer=colours.LineLexer(lambda: sources().outdir),
            input_processors=[Underline(self._wrong)],
            cursor=ModalCursorShapeConfig() if editing_keys == "vi" else None,
            style=Style.from_dict(NO_COLOUR_STYLE if os.environ.get("NO_COLOR") else STYLE),
            key_bindings=self._keys(),
            input=input,
            output=output,
        )
        if editing_keys == "vi":
            self.session.app.ttimeoutlen, self.session.app.timeoutlen = _ESCAPE

    def start_line(self) -> None:
        """Start a new line: clears the checks of the last one."""
        self._pasted = False
        self._proofreader = Proofreader(self._resolve)

    def _has_space_already(self) -> bool:
        """Whether a completion has already inserted the space that is typed now."""
        document = self.session.default_buffer.document
        return document.is_cursor_at_the_end and bool(document.text) and document.text == self._completer.finished

    def pasted_lines(self, text: str) -> list[str]:
        """The lines of `text`, without comments, if several were pasted; else empty."""
        lines = [line for line in text.split("\n") if line.strip() and not line.strip().startswith(COMMENTS)]
        return lines if self._pasted and len(lines) > 1 else []

    def mark_pasted(self) -> None:
        """Treat the text on the prompt as pasted: several lines need confirmation."""
        self._pasted = True

    def put_back(self, pasted: str) -> None:
        """Put pasted text back on the prompt, which needs confirmation again."""
        self.mark_pasted()
        self.session.default_buffer.reset(Document(pasted, len(pasted)))

    def _wrong(self) -> Diagnostic | None:
        buffer = self.session.default_buffer
        if self._pasted and "\n" in buffer.text:  # several lines, confirmed when they are entered
            return None
        return self._proofreader.wrong(buffer.text, buffer.cursor_position)

    def _draw_toolbar(self) -> str:
        wrong, mode = self._wrong(), self._vi_mode()
        if wrong is None:
            return mode + self._toolbar(self.session.default_buffer.text)
        return mode + shortened(clean(wrong.message), get_app().output.get_size().columns - len(mode))

    def _vi_mode(self) -> str:
        """The mode with vi keys; the cursor also changes its shape."""
        app = get_app()
        if app.editing_mode is not EditingMode.VI:
            return ""
        return "[insert]  " if app.vi_state.input_mode is InputMode.INSERT else "[normal]  "

    def _keys(self) -> KeyBindings:
        keys = line_keys()

        @keys.add(" ", filter=Condition(self._has_space_already))
        def _skip_space(event: KeyPressEvent) -> None:
            self._completer.finished = ""

        @keys.add(Keys.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            text = event.data.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
            self._pasted = self._pasted or "\n" in text
            buffer = event.current_buffer
            space = " " if buffer.document.text_after_cursor[:1].strip() else ""
            put = inserted(buffer.document.text_before_cursor, text)
            buffer.insert_text(put if put == text or not space else put.rstrip(" ") + space)

        @keys.add("c", "w", filter=vi_navigation_mode)
        @keys.add("c", "W", filter=vi_navigation_mode)
        def _change_word(event: KeyPressEvent) -> None:
            """As vi does, without the space after the word; prompt_toolkit's takes it along."""
            buffer, is_long = event.current_buffer, event.key_sequence[-1].key == "W"
            after = buffer.document.text_after_cursor
            end = buffer.document.find_next_word_beginning(count=event.arg, WORD=is_long)
            word = after[:end].rstrip() or after[:end]
            event.app.clipboard.set_text(buffer.delete(len(word)))
            event.app.vi_state.input_mode = InputMode.INSERT

        @keys.add("f2")
        def _toggle_toolbar(event: KeyPressEvent) -> None:
            self._toolbar_shown = not self._toolbar_shown
            self.session.bottom_toolbar = self._draw_toolbar if self._toolbar_shown else None

        return keys
