"""What is written: numbers and names, whole files, PNGs that tell how they were made, sheets and logs.

`writer.Writer` saves what an engine makes; `metadata.read` tells how a saved picture was made.
"""
