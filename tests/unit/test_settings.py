"""Settings are refused before anything starts, in one line that names the variable and shows no secret."""

from __future__ import annotations

import pytest

from gateway.settings import Settings, WrongSetting


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OBOL_DATABASE_URL", "postgresql://me:hush@db:notaport/x"),
        ("OBOL_DATABASE_URL", "postgresql://me:hush@[db/x"),
        ("OBOL_REDIS_URL", "redis://[bad"),
        ("OBOL_REDIS_URL", "redis://me:hush@cache:notaport"),
        ("OBOL_CACHE_REDIS_URL", "redis://me:hush@cache:70000"),
    ],
)
def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable(name, value):
    with pytest.raises(WrongSetting, match=name) as caught:
        Settings.from_environment({name: value})
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OBOL_DATABASE_URL", "postgresql://me:hush@db1:5432,db2:5433/x"),
        ("OBOL_DATABASE_URL", "postgresql:///x?host=/run/postgres"),
        ("OBOL_REDIS_URL", "redis://one:6379,two:6379"),
        ("OBOL_REDIS_URL", "redis+cluster://one:6379,two:6379"),
        ("OBOL_REDIS_URL", "redis://[::1]:6379/0"),
        ("OBOL_REDIS_URL", "unix:///run/valkey.sock"),
    ],
)
def test_every_usual_form_of_address_is_taken(name, value):
    Settings.from_environment({name: value})


@pytest.mark.parametrize("origin", ["x", "app.example.com", "https://", "https://a.example/", "https://a:b@c", "null "])
def test_an_origin_that_no_browser_sends_is_refused(origin):
    with pytest.raises(WrongSetting, match="OBOL_CORS_ORIGINS"):
        Settings.from_environment({"OBOL_CORS_ORIGINS": f"https://good.example,{origin}"})


def test_origins_with_and_without_a_port_are_taken():
    text = "https://a.example, http://localhost:3000,*,chrome-extension://abcdef"
    assert len(Settings.from_environment({"OBOL_CORS_ORIGINS": text}).cors_origins) == 4
