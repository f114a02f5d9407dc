"""The tables of what upstreams and their connections do wrong."""

from __future__ import annotations

import inspect
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions

from backends import upstream_errors
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamInterrupted


def test_every_exception_of_aiohttp_is_in_the_table():
    own = {
        kind
        for kind in vars(client_exceptions).values()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
    }
    assert own - set(upstream_errors.FAILURES) == set()


def test_every_failure_is_an_upstream_error_that_a_client_may_read():
    for kind in upstream_errors.FAILURES:
        error = upstream_errors.failure(kind.__new__(kind))
        assert isinstance(error, UpstreamError)
        assert error.message.endswith(".")


def test_operating_system_errors_without_a_line_of_their_own_are_translated():
    assert isinstance(upstream_errors.failure(ConnectionResetError()), UpstreamBroken)
    assert isinstance(upstream_errors.failure(ssl.SSLError()), UpstreamBroken)
    assert isinstance(upstream_errors.interruption(aiohttp.ClientPayloadError()), UpstreamInterrupted)


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({}, None), ({"retry-after": "3"}, 3.0), ({"retry-after": "0.5"}, 0.5), ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0), ({"retry-after-ms": "20", "retry-after": "9"}, 0.02),
        ({"retry-after-ms": "x"}, None), ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "-4"}, None), ({"retry-after": "nan"}, None), ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None), ({"retry-after-ms": "-1"}, None),
    ],
)  # fmt: skip
def test_the_wished_pause_is_read_in_all_its_forms(headers, pause_s):
    assert upstream_errors.wanted_pause_s(headers) == pause_s
