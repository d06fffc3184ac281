"""Model families: what differs between them is how the denoiser is asked, one file each."""
