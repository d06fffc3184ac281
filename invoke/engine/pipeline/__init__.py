"""Makes one picture from a request: prepare, condition, denoise, decode, postprocess, record."""
