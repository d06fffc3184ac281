"""Finishing a picture after it has been drawn: its faces are repaired and it is enlarged by models made for that.

`ready.ready` and `finish.finished` are what the engine knows; `tool.Upscaler` is what is asked of a tool.
"""
