"""Encodes prompts, control images and reference pictures for the networks."""
