"""The recordings API of VNS: from the call to the archive.

It needs the extra `vns`; `recording_fields` does not.
"""

# A program that begins here must be quick to take care of signals, so nothing else is imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from filedecryptor.errors import ApiError, NotFoundError, TokenError
    from filedecryptor.vns.archive import Archive
    from filedecryptor.vns.client import Client
    from filedecryptor.vns.listing import Listing, Recording
    from filedecryptor.vns.webhook import recording_fields

__all__ = [
    "ApiError",
    "Archive",
    "Client",
    "Listing",
    "NotFoundError",
    "Recording",
    "TokenError",
    "recording_fields",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        for module in ("errors", "vns.webhook", "vns.listing", "vns.client", "vns.archive"):
            if found := getattr(import_module(f"filedecryptor.{module}"), name, None):
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
