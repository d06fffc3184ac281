"""The prompt syntax: weights, blends, swaps, negative parts and LoRAs (the language of the library Compel).

`read_prompt` reads all that a request says in words, `read_text` one text without `[negative]` parts. Reading is
linear in the length of the text; no text is too deeply nested.
"""

from invoke.prompts.foreign import foreign
from invoke.prompts.nodes import Blend, Conjunction, Fragment, ParsedText, Swap, Window, Words
from invoke.prompts.request_texts import Prompt, read_prompt, read_text, texts_of

__all__ = [
    "Blend",
    "Conjunction",
    "Fragment",
    "ParsedText",
    "Prompt",
    "Swap",
    "Window",
    "Words",
    "foreign",
    "read_prompt",
    "read_text",
    "texts_of",
]
