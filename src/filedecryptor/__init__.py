"""Decrypt the call recordings of Voice Nexus Service (VNS)."""

__version__ = "0.1.0"

__all__ = ["__version__"]
