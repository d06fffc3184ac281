"""Models by name: read from disk, kept within a budget, unloaded."""
