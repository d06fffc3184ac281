"""The tokenizer: every word of the captions is one token, anything else is split into letters."""

from __future__ import annotations

from itertools import pairwise

from transformers import CLIPTokenizer

from training.captions import vocabulary

LENGTH = 77


def new_tokenizer() -> CLIPTokenizer:
    merges = _merges(sorted(vocabulary(), key=lambda word: (len(word), word)))
    letters = list(_byte_letters())
    symbols = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(first + second for first, second in merges),
    ]
    vocab = {
        symbol: number for number, symbol in enumerate([*dict.fromkeys(symbols), "<|startoftext|>", "<|endoftext|>"])
    }
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LENGTH)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Merges in order; later words use later ranks, so they do not affect earlier ones."""
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        parts = _joined([*word[:-1], f"{word[-1]}</w>"], ranks)
        while len(parts) > 1:
            ranks[(parts[0], parts[1])] = len(ranks)
            parts = [parts[0] + parts[1], *parts[2:]]
    return list(ranks)


def _joined(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while True:
        known = [(ranks[pair], i) for i, pair in enumerate(pairwise(parts)) if pair in ranks]
        if not known:
            return parts
        _, i = min(known)
        parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


def _byte_letters() -> str:
    """The 256 printable stand-ins for bytes that CLIP's tokenizer uses."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + i for i in range(256 - len(plain))]
    return "".join(chr(code) for code in [*plain, *others])


def split(tokenizer: CLIPTokenizer, text: str) -> list[str]:
    """The tokens of a text, without start and end tokens."""
    tokens: list[str] = tokenizer.tokenize(text)
    return tokens
