"""Units and their factors, all exact by definition: the international yard and pound, the US gallon, the SI.

Factors: NIST Special Publication 811 (2008), appendix B; IEC 80000-13 for binary prefixes. Whoever leaves out which
gallon, ton or cup gets the US one, and the answer says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from policies.deflection.numbers import PI


@dataclass(frozen=True, slots=True)
class Unit:
    """``value * factor + offset`` is in the base unit of its dimension; ``is_exact``: a radian's factor is not."""

    name: str
    plural: str
    dimension: str
    factor: Fraction
    offset: Fraction = Fraction(0)
    is_exact: bool = True

    def named(self, count: Fraction) -> str:
        return self.name if abs(count) == 1 else self.plural


_INCH = Fraction(254, 10000)
_FOOT = 12 * _INCH
_MILE = 5280 * _FOOT
_POUND = Fraction(45359237, 10**8)
_GRAVITY = Fraction(980665, 10**5)
_GALLON = 231 * _INCH**3 * 1000  # litres
_IMPERIAL_GALLON = Fraction(454609, 10**5)
_MERCURY = Fraction(133322387415, 10**9)

_PLURAL_LENGTH_MIN = 3  # shorter names are abbreviations

# Name (and plural, where it is not with an s), other names (_ for a space), factor.
_Rows = Sequence[tuple[str, str, Fraction | int]]
_LENGTH: _Rows = (
    ("meter", "metre m", 1),
    ("kilometer", "kilometre km kms kilometeres klicks", 1000),
    ("centimeter", "centimetre cm cms", Fraction(1, 100)),
    ("millimeter", "millimetre mm mms", Fraction(1, 1000)),
    ("decimeter", "decimetre dm", Fraction(1, 10)),
    ("micrometer", "micrometre micron um µm", Fraction(1, 10**6)),
    ("nanometer", "nanometre", Fraction(1, 10**9)),
    ("inch|inches", "in in. ins inchs", _INCH),
    ("foot|feet", "ft ft. foots", _FOOT),
    ("yard", "yd yds", 3 * _FOOT),
    ("mile", "mi", _MILE),
    ("nautical mile", "", 1852),
    ("furlong", "", 660 * _FOOT),
    ("fathom", "", 6 * _FOOT),
    ("light year", "light-year lightyear", 9460730472580800),
    ("astronomical unit", "au", 149597870700),
)
_MASS: _Rows = (
    ("kilogram", "kilogramme kg kgs kilo", 1),
    ("gram", "gramme g gm gms", Fraction(1, 1000)),
    ("milligram", "milligramme mg mgs", Fraction(1, 10**6)),
    ("microgram", "mcg ug µg", Fraction(1, 10**9)),
    ("metric ton", "tonne metric_tonne", 1000),
    ("pound", "lb lbs lb. lbs.", _POUND),
    ("ounce", "oz oz. ozs", _POUND / 16),
    ("stone|stone", "stones", 14 * _POUND),
    ("US ton", "ton short_ton us_short_ton", 2000 * _POUND),
    ("imperial ton", "long_ton uk_ton british_ton", 2240 * _POUND),
    ("troy ounce", "", Fraction(311034768, 10**10)),
    ("carat", "", Fraction(2, 10**4)),
    ("slug", "", _POUND * _GRAVITY / _FOOT),
)
_VOLUME: _Rows = (
    ("liter", "litre l ltr", 1),
    ("milliliter", "millilitre ml mls cc", Fraction(1, 1000)),
    ("centiliter", "centilitre cl", Fraction(1, 100)),
    ("deciliter", "decilitre dl", Fraction(1, 10)),
    ("cubic meter", "cubic_metre m^3 m3", 1000),
    ("cubic centimeter", "cubic_centimetre cm^3 cm3", Fraction(1, 1000)),
    ("cubic inch|cubic inches", "cubic_in cu_in in^3", _INCH**3 * 1000),
    ("cubic foot|cubic feet", "cubic_ft cu_ft ft^3 ft3", _FOOT**3 * 1000),
    ("cubic yard", "cu_yd yd^3", 27 * _FOOT**3 * 1000),
    ("US gallon", "gallon gal gals us_gal", _GALLON),
    ("US quart", "quart qt qts", _GALLON / 4),
    ("US pint", "pint pt pts", _GALLON / 8),
    ("US cup", "cup", _GALLON / 16),
    ("US fluid ounce", "fluid_ounce fl_oz fl._oz. floz fluid_oz ounce oz oz.", _GALLON / 128),
    ("US tablespoon", "tablespoon tbsp tbsps tbs tablespoonful", _GALLON / 256),
    ("US teaspoon", "teaspoon tsp tsps teaspoonful", _GALLON / 768),
    ("imperial gallon", "uk_gallon british_gallon", _IMPERIAL_GALLON),
    ("imperial quart", "uk_quart british_quart", _IMPERIAL_GALLON / 4),
    ("imperial pint", "uk_pint british_pint", _IMPERIAL_GALLON / 8),
    ("imperial fluid ounce", "uk_fluid_ounce british_fluid_ounce", _IMPERIAL_GALLON / 160),
    ("metric cup", "", Fraction(1, 4)),
)
_AREA: _Rows = (
    ("square meter", "square_metre sq_m sq_meter sqm m^2 m2", 1),
    ("square kilometer", "square_kilometre sq_km sq_kilometer km^2 km2", 10**6),
    ("square centimeter", "square_centimetre sq_cm cm^2 cm2", Fraction(1, 10**4)),
    ("square inch|square inches", "sq_in sq_inch in^2", _INCH**2),
    ("square foot|square feet", "sq_ft sq_foot sq_feet sqft ft^2 ft2", _FOOT**2),
    ("square yard", "sq_yd sq_yard yd^2", 9 * _FOOT**2),
    ("square mile", "sq_mi sq_mile mi^2", _MILE**2),
    ("acre", "", 43560 * _FOOT**2),
    ("hectare", "ha", 10**4),
)
_TIME: _Rows = (
    ("second", "sec secs s", 1),
    ("millisecond", "ms msec", Fraction(1, 1000)),
    ("microsecond", "", Fraction(1, 10**6)),
    ("nanosecond", "", Fraction(1, 10**9)),
    ("minute", "min mins", 60),
    ("hour", "hr hrs h", 3600),
    ("day", "", 86400),
    ("week", "", 7 * 86400),
    ("fortnight", "", 14 * 86400),
)
# No fixed number of days: months and years are only converted into each other.
_CALENDAR: _Rows = (
    ("month", "", 1),
    ("year", "yr yrs", 12),
    ("decade", "", 120),
    ("century|centuries", "", 1200),
    ("millennium|millennia", "millenniums", 12000),
)
_SPEED: _Rows = (
    ("meter per second|meters per second", "m/s metre_per_second metres_per_second mps", 1),
    (
        "km/h|km/h",
        "kph kmh kmph kilometer_per_hour kilometers_per_hour kilometres_per_hour km_per_hour",
        Fraction(5, 18),
    ),
    ("mph|mph", "mile_per_hour miles_per_hour mi/h", _MILE / 3600),
    ("foot per second|feet per second", "ft/s fps", _FOOT),
    ("knot", "kt kts", Fraction(1852, 3600)),
)
_DATA: _Rows = (
    ("bit", "", 1),
    ("kilobit", "kbit", 10**3),
    ("megabit", "mbit", 10**6),
    ("gigabit", "gbit", 10**9),
    ("byte", "", 8),
    ("kilobyte", "", 8 * 10**3),
    ("megabyte", "", 8 * 10**6),
    ("gigabyte", "", 8 * 10**9),
    ("terabyte", "", 8 * 10**12),
    ("petabyte", "", 8 * 10**15),
    ("kibibyte", "kib", 8 * 2**10),
    ("mebibyte", "mib", 8 * 2**20),
    ("gibibyte", "gib", 8 * 2**30),
    ("tebibyte", "tib", 8 * 2**40),
)
# Of "gb" it is not known whether bits or bytes are meant; between two of them it does not matter.
_SMALL_DATA: _Rows = (("kb|kb", "", 10**3), ("mb|mb", "", 10**6), ("gb|gb", "", 10**9), ("tb|tb", "", 10**12))
_PRESSURE: _Rows = (
    ("pascal", "pa", 1),
    ("kilopascal", "kpa", 1000),
    ("hectopascal", "hpa", 100),
    ("bar", "", 10**5),
    ("millibar", "mbar", 100),
    ("psi|psi", "pounds_per_square_inch pound_per_square_inch", _POUND * _GRAVITY / _INCH**2),
    ("atmosphere", "atm", 101325),
    ("mmHg|mmHg", "mmhg millimeters_of_mercury", _MERCURY),
    ("inHg|inHg", "inhg inches_of_mercury", _MERCURY * Fraction(254, 10)),
    ("torr|torr", "", Fraction(101325, 760)),
)
_ENERGY: _Rows = (
    ("joule", "j", 1),
    ("kilojoule", "kj", 1000),
    ("megajoule", "", 10**6),
    ("kilocalorie", "kcal", 4184),
    ("watt hour", "watt-hour wh", 3600),
    ("kilowatt hour", "kilowatt-hour kwh", 3600000),
    ("BTU|BTU", "btus british_thermal_unit british_thermal_units", Fraction(105505585262, 10**8)),
)
_POWER: _Rows = (
    ("watt", "w", 1),
    ("kilowatt", "kw", 1000),
    ("megawatt", "", 10**6),
    ("gigawatt", "", 10**9),
    ("mechanical horsepower|mechanical horsepower", "horsepower hp", 550 * _FOOT * _POUND * _GRAVITY),
)
_ANGLE: _Rows = (("degree", "deg", 1), ("gradian", "gon", Fraction(9, 10)))
_DIMENSIONS: Mapping[str, _Rows] = {
    "length": _LENGTH,
    "mass": _MASS,
    "volume": _VOLUME,
    "area": _AREA,
    "time": _TIME,
    "calendar": _CALENDAR,
    "speed": _SPEED,
    "data": _DATA,
    "small data": _SMALL_DATA,
    "pressure": _PRESSURE,
    "energy": _ENERGY,
    "power": _POWER,
    "angle": _ANGLE,
}
TEMPERATURES = {
    "C": Unit("°C", "°C", "temperature", Fraction(1), Fraction(27315, 100)),
    "F": Unit("°F", "°F", "temperature", Fraction(5, 9), Fraction(45967, 100) * Fraction(5, 9)),
    "K": Unit("K", "K", "temperature", Fraction(1)),
}
_TEMPERATURE_NAMES = {
    "C": "c celsius celcius centigrade celsuis",
    "F": "f fahrenheit farenheit fahrenheight farenheight",
    "K": "k kelvin kelvins",
}
# Here capitals tell bits from bytes, and millions, which are not converted, from thousandths.
CAPITALS = {
    "Mm": "megameter",
    "Mg": "megagram",
    "Ms": "megasecond",
    "KB": "kilobyte",
    "kB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "PB": "petabyte",
    "Mb": "megabit",
    "Gb": "gigabit",
}


def _named() -> Mapping[str, Sequence[Unit]]:
    """Every name that is understood, in small letters, with all units that it may mean."""
    units: defaultdict[str, list[Unit]] = defaultdict(list)

    def name(unit: Unit, *names: str) -> None:
        for one in names:
            if unit not in units[one.lower()]:
                units[one.lower()].append(unit)

    for dimension, rows in _DIMENSIONS.items():
        for names, others, factor in rows:
            singular, _, plural = names.partition("|")
            unit = Unit(singular, plural or f"{singular}s", dimension, Fraction(factor))
            name(unit, unit.name, unit.plural)
            for other in others.split():
                phrase = other.replace("_", " ")
                name(unit, phrase, *([f"{phrase}s"] if len(phrase) >= _PLURAL_LENGTH_MIN else []))
    radian = Unit("radian", "radians", "angle", 180 / PI, is_exact=False)
    name(radian, radian.name, radian.plural, "rad")
    for letter, names in _TEMPERATURE_NAMES.items():
        for one in names.split():
            name(TEMPERATURES[letter], one, f"degrees {one}", f"degree {one}", f"deg {one}", f"°{one}", f"° {one}")
    return dict(units)


NAMED = _named()
NAME_WORDS_MAX = max(len(name.split()) for name in NAMED)
