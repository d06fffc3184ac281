"""Model families: one file for each way of calling a denoiser.

Which family a model is of is decided in `models/recognise.py` for folders, by `PARTS` in `models/families.py`, and in
`models/tensor_names.py` for single files; `loading/load.py` chooses the file here. CONTRIBUTING tells how to add one.
"""
