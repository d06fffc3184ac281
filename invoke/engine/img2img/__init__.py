"""The init image: resizing, masks, outpainting, and strength."""
