"""Runs without a prompt: lines are planned and made as they arrive, and can be resumed after a kill."""
