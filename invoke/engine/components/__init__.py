"""What models are made of: devices, networks read and placed, hashes, tiles, pixels to latents and back."""
