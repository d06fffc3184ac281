"""Keys that change the line and nothing else."""

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, completion_is_selected, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from invoke.shell.dropped import as_init_picture


def line_keys() -> KeyBindings:
    """Tab, a line break, the editor, and Enter where it does not end the line yet."""
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab")
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and len(buffer.complete_state.completions) > 1:
            buffer.complete_next()
        else:
            buffer.complete_state = None  # a single one is taken already: Tab goes on behind it
            buffer.start_completion(insert_common_part=True)

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & Condition(_is_picture_alone))
    def _take_picture(event: KeyPressEvent) -> None:
        put = as_init_picture(event.current_buffer.text) or ""
        event.current_buffer.document = Document(put, len(put))

    @keys.add("enter", filter=completion_is_selected & Condition(_is_choosing))
    def _take_completion(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("f4")
    def _edit(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return keys


def _is_picture_alone() -> bool:
    return as_init_picture(get_app().current_buffer.text) is not None


def _is_choosing() -> bool:
    state = get_app().current_buffer.complete_state
    return state is not None and len(state.completions) > 1
