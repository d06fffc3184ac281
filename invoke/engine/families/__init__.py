"""Model families: one file for each way of calling a denoiser."""
