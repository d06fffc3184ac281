"""What the program keeps in the folders that the platform gives it: settings, state, measured speeds."""
