"""Recordings to be decrypted, and their outputs: one of them, or many side by side."""
