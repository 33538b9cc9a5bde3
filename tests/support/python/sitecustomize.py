"""Python runs this at its start: the processes that tests start derive keys cheaply, too.

Where `CLOCK_AHEAD` is set, their clock is so many seconds ahead, or behind if it is negative.
"""

import datetime as dt
import os
import time

if "CLOCK_AHEAD" in os.environ:
    _ahead = float(os.environ["CLOCK_AHEAD"])
    _time = time.time

    class _Datetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "_Datetime":
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> "_Datetime":
            return cls.now(dt.UTC).replace(tzinfo=None)

    time.time = lambda: _time() + _ahead
    time.time_ns = lambda: int(time.time() * 1e9)
    dt.datetime = _Datetime  # type: ignore[misc]

import filedecryptor.core.crypto

filedecryptor.core.crypto.ITERATIONS = 1000
