"""The recordings API of VNS: from the call to the archive.

It needs the extra `vns`; `recording_fields` does not.
"""

from filedecryptor.vns.archive import Archive
from filedecryptor.vns.client import Client
from filedecryptor.vns.webhook import recording_fields

__all__ = ["Archive", "Client", "recording_fields"]
