"""Prompts and control images, as the networks take them."""
