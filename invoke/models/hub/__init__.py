"""The Hugging Face hub: its cache, inspecting ids, downloading with the user's consent."""
