"""Model families: one file for each way of calling a denoiser.

`models/families.py` decides of which family a folder or a file is, `loading/load.py` which file here draws it.
CONTRIBUTING tells how to add one.
"""
