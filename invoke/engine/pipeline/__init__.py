"""One picture from its request: prepare, condition, denoise, decode, postprocess, record."""
