"""Hugging Face hub: what is cached, what an id holds, what is downloaded and with whose consent."""
