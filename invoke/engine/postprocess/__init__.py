"""Postprocessing of a drawn picture: face restoration and upscaling.

The engine calls `apply.load_postprocessors` and `apply.postprocess`; `upscaler.Upscaler` is the protocol of upscalers.
"""
