"""Components of models: devices, reading and placing networks, hashes, tiles, encoding and decoding pictures."""
