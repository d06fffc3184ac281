"""The denoising loop and all that it needs: schedules, noise, guidance, batches of calls."""
