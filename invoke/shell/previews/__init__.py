"""Small pictures on a terminal: what they are made of there (blocks, kitty, iTerm2), and one that is replaced in place.

The encoders are functions of pixels alone. A terminal is never asked what it can do: its answer would end up in what is
typed. `choose` reads the environment instead.
"""
