"""Warm engines (`--warm`): an engine waits for the next program after its own has gone."""
