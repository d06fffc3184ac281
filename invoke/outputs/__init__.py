"""Output files: numbers and names, atomic writes, PNGs with their metadata, sheets and logs.

`writer.Writer` saves what an engine makes; `metadata.read` tells how a saved picture was made.
"""
