"""Loads models by name, keeps them within a memory budget, and unloads them.

LoRAs and textual inversions are loaded by `engine/adapters`, upscalers by `engine/postprocess/upscaler_loading.py`.
"""
