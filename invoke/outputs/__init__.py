"""Output files: numbers and names, atomic writes, PNGs with metadata, sheets and logs.

`writer.Writer` saves the pictures of an engine; `metadata.read` reads how a saved picture was made.
"""
