"""Many keys at once, where this machine is faster that way; it is loaded for batches only."""
