"""The clock of a host with a wrong time, for every Python process that finds this folder on its PYTHONPATH.

All times of day are off by CLOCK_OFF_S seconds; monotonic time, by which nobody can be wrong, is left alone.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import os
import time

_OFF = dt.timedelta(seconds=float(os.environ.get("CLOCK_OFF_S", "0")))
_OFF_S = _OFF.total_seconds()
_OFF_NS = _OFF // dt.timedelta(microseconds=1) * 1000
_time, _time_ns = time.time, time.time_ns


def _wrong_now(cls: type[dt.datetime], tz: dt.tzinfo | None = None) -> dt.datetime:
    return cls.fromtimestamp(_time() + _OFF_S, tz)


def _wrong_utcnow(cls: type[dt.datetime]) -> dt.datetime:
    return cls.fromtimestamp(_time() + _OFF_S, dt.UTC).replace(tzinfo=None)


def _wrong_today(cls: type[dt.date]) -> dt.date:
    return cls.fromtimestamp(_time() + _OFF_S)


def _replace(cls: type, **methods: object) -> None:
    """Classes of C refuse new attributes, their dictionaries do not; a subclass would be another type to everyone."""
    (attributes,) = (one for one in gc.get_referents(cls.__dict__) if isinstance(one, dict))
    attributes.update({name: classmethod(method) for name, method in methods.items()})
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))


time.time = lambda: _time() + _OFF_S
time.time_ns = lambda: _time_ns() + _OFF_NS
_replace(dt.datetime, now=_wrong_now, utcnow=_wrong_utcnow, today=_wrong_today)
_replace(dt.date, today=_wrong_today)
