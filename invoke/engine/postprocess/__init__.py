"""Finishing a picture after it has been drawn: its faces are repaired and it is enlarged by models made for that.

The engine calls `apply.load_postprocessors` and `apply.postprocess`; `upscale.Upscaler` is the protocol of an upscaler.
"""
