"""The init image: its pixels at the size of the result, its mask, its canvas, and its strength."""
