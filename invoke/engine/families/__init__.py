"""Model families: one file for each way of calling a denoiser.

Which family a model is of is decided in `models/families.py`; `loading/load.py` chooses the file.
"""
