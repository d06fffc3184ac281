"""Components of models: devices, networks read and placed, hashes, tiles, pixels to latents and back."""
