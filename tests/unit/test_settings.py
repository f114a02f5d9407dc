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


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"OBOL_ALERT_WEBHOOK_URL": "https://hooks.example/hush"}, "OBOL_ALERT_WEBHOOK_SECRET"),
        ({"OBOL_ALERT_WEBHOOK_URL": "hooks.example/hush", "OBOL_ALERT_WEBHOOK_SECRET": "x"}, "OBOL_ALERT_WEBHOOK_URL"),
        ({"OBOL_ALERT_WEBHOOK_URL": "ftp://hush/x", "OBOL_ALERT_WEBHOOK_SECRET": "x"}, "OBOL_ALERT_WEBHOOK_URL"),
        ({"OBOL_ALERT_WEBHOOK_URL": "https://a:b/hush", "OBOL_ALERT_WEBHOOK_SECRET": "x"}, "OBOL_ALERT_WEBHOOK_URL"),
        ({"OBOL_ALERT_WEBHOOK_SECRET": "whsec_hush-no-base64"}, "OBOL_ALERT_WEBHOOK_SECRET"),
        *(
            ({"OBOL_ALERT_SPEND_MULTIPLE": text}, "OBOL_ALERT_SPEND_MULTIPLE")
            for text in ("many", "0.9", "-3", "nan", "inf")
        ),
    ],
)
def test_a_webhook_that_could_not_be_used_is_refused_without_repeating_its_secrets(settings, name):
    with pytest.raises(WrongSetting, match=name) as caught:
        Settings.from_environment(settings)
    assert "hush" not in str(caught.value)


def test_the_settings_of_alerts_reach_other_processes_and_no_log():
    settings = Settings.from_environment(
        {
            "OBOL_ALERT_WEBHOOK_URL": "https://hooks.example/hush",
            "OBOL_ALERT_WEBHOOK_SECRET": "whsec_aHVzaA==",
            "OBOL_ALERT_SPEND_MULTIPLE": "2.5",
        }
    )
    assert Settings.from_environment(settings.to_environment()) == settings
    assert settings.alert_spend_multiple == 2.5
    assert "hush" not in repr(settings)
    assert "aHVzaA" not in repr(settings)


@pytest.mark.parametrize("value", ["seen", "hold"])
def test_what_an_orphaned_call_is_charged_is_the_operators_choice(value):
    settings = Settings.from_environment({"OBOL_ORPHANED_CHARGE": value})
    assert settings.orphaned_charge == value
    assert Settings.from_environment(settings.to_environment()) == settings


def test_another_charge_for_orphans_is_refused():
    with pytest.raises(WrongSetting, match="OBOL_ORPHANED_CHARGE must be one of seen, hold"):
        Settings.from_environment({"OBOL_ORPHANED_CHARGE": "nothing"})


def test_trusted_proxies_are_networks():
    settings = Settings.from_environment({"OBOL_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,,2001:db8::/32"})

    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
    assert Settings.from_environment(settings.to_environment()) == settings
    assert Settings.from_environment({}).trusted_proxies == ()


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", "*"])
def test_trusted_proxies_that_are_no_networks_are_refused(text):
    with pytest.raises(WrongSetting, match="OBOL_TRUSTED_PROXIES must be networks"):
        Settings.from_environment({"OBOL_TRUSTED_PROXIES": text})


@pytest.mark.parametrize("days", ["-1", "3651", "1.5", "for ever"])
def test_decisions_are_kept_for_a_whole_number_of_days(days):
    with pytest.raises(WrongSetting, match="OBOL_DECISIONS_DAYS"):
        Settings.from_environment({"OBOL_DECISIONS_DAYS": days})


def test_decisions_are_kept_for_ninety_days_unless_told_otherwise_and_not_at_all_for_none():
    assert Settings.from_environment({}).decisions_days == 90
    none = Settings.from_environment({"OBOL_DECISIONS_DAYS": "0"})
    assert Settings.from_environment(none.to_environment()).decisions_days == 0


@pytest.mark.parametrize("usd", ["-0.01", "nan", "a lot", "1001"])
def test_a_processor_costs_dollars_and_not_too_many(usd):
    with pytest.raises(WrongSetting, match="OBOL_CPU_USD_PER_HOUR must be dollars"):
        Settings.from_environment({"OBOL_CPU_USD_PER_HOUR": usd})


def test_a_processor_may_cost_nothing():
    assert Settings.from_environment({}).cpu_usd_per_hour == 0.04
    free = Settings.from_environment({"OBOL_CPU_USD_PER_HOUR": "0"})
    assert Settings.from_environment(free.to_environment()).cpu_usd_per_hour == 0
