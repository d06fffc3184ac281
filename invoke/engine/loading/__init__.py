"""Loads models by name, keeps them within a memory budget, and unloads them."""
