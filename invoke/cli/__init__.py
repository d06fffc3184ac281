"""Lines without a prompt: planned and made as they arrive, and resumed after a kill."""
