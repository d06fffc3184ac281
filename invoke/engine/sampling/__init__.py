"""The denoising loop: schedules, noise, guidance, and batching of network calls."""
