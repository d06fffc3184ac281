"""What an init image brings: its pixels at the size of the result, its mask, its canvas, and how much is redrawn."""
