"""Finishing a picture: it is enlarged by a model made for that, after it has been drawn. One file per tool.

`ready.ready` and `finish.finished` are what the engine knows; `tool.Upscaler` is what is asked of a tool.
"""
