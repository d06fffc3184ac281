"""The prompt syntax: weights, blends, swaps, negative parts and LoRAs (the language of the library Compel).

`read_prompt` parses all texts of a request, `read_text` a single text without `[negative]` parts. Parsing takes time
linear in the length of the text, with no limit on nesting.
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
