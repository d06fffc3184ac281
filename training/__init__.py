"""How the built-in model `pocket` is made: a program draws scenes, scripts train on them and measure.

The `invoke` package does not import it; the result is the folder `invoke/pocket`. See README.md.
"""
