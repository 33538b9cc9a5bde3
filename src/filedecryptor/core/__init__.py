"""A source in, authenticated audio out: the layout of `.enc` files, and their cryptography."""
