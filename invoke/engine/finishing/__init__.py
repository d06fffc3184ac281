"""Finishing a picture: it is enlarged by a model made for that, after it has been drawn. One file per tool.

`finish.Finisher` is what the engine knows; `Upscaler` is what it asks of a tool.
"""
