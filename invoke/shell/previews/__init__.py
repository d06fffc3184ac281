"""Previews in a terminal: encoders (blocks, kitty, iTerm2, sixel), and drawing in place.

Encoders are pure functions of pixels. Terminals are never queried for their features, because their answers would end
up in the typed text; `choose` uses the environment instead.
"""
