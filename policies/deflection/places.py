"""Places and their time zones: cities that mean one place to most readers, countries and states with one zone.

Left out on purpose: Portland, Springfield, Birmingham, Washington, Georgia and other names of two places, and what lies
in several zones (Russia, Texas, Australia). An answer always names the zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ZONES = """
UTC: utc, gmt, greenwich mean time, coordinated universal time
America/New_York: new york, new york city, nyc, boston, miami, atlanta, philadelphia, washington dc, washington d.c
America/New_York: orlando, tampa, charlotte, pittsburgh, cleveland, cincinnati, baltimore, jacksonville, raleigh
America/New_York: buffalo
America/New_York: akron, hartford, newark, brooklyn, manhattan, fort lauderdale, key west, portland maine, savannah
America/New_York: massachusetts, connecticut, new jersey, pennsylvania, ohio, virginia, west virginia, north carolina
America/New_York: south carolina, maryland, delaware, vermont, new hampshire, maine, rhode island
America/New_York: eastern, eastern time, et, us eastern, us eastern time, east coast, the east coast, atlantic coast
America/Detroit: detroit, ann arbor
America/Indiana/Indianapolis: indianapolis
America/Kentucky/Louisville: louisville
America/Chicago: chicago, houston, dallas, austin, san antonio, new orleans, memphis, nashville, minneapolis, st louis
America/Chicago: saint louis, milwaukee, kansas city, oklahoma city, tulsa, omaha, fort worth, des moines
America/Chicago: baton rouge, little rock, illinois, wisconsin, minnesota, iowa, missouri, arkansas, louisiana
America/Chicago: mississippi, alabama, oklahoma, central, central time, ct, us central, us central time
America/Denver: denver, salt lake city, albuquerque, colorado springs, boulder, el paso, cheyenne, utah, colorado
America/Denver: wyoming
America/Denver: montana, new mexico, mountain, mountain time, mt, us mountain, us mountain time
America/Boise: boise
America/Phoenix: phoenix, tucson, scottsdale, arizona
America/Los_Angeles: los angeles, la, l.a, san francisco, san diego, seattle, las vegas, vegas, sacramento, reno
America/Los_Angeles: oakland
America/Los_Angeles: modesto, fresno, long beach, anaheim, tacoma, spokane, hollywood, california, portland oregon
America/Los_Angeles: pacific, pacific time, pt, us pacific, us pacific time, west coast, the west coast, pacific coast
America/Anchorage: anchorage
Pacific/Honolulu: honolulu, hawaii
America/Toronto: toronto, ottawa, montreal, quebec city
America/Vancouver: vancouver
America/Edmonton: calgary, edmonton, alberta
America/Winnipeg: winnipeg, manitoba
America/Halifax: halifax, nova scotia
America/Regina: regina, saskatoon
America/Mexico_City: mexico city
America/Cancun: cancun
America/Tijuana: tijuana
America/Bogota: bogota, colombia, medellin
America/Lima: lima, peru
America/Caracas: caracas, venezuela
America/Argentina/Buenos_Aires: buenos aires, argentina
America/Sao_Paulo: sao paulo, são paulo, rio de janeiro, brasilia
America/Montevideo: montevideo, uruguay
America/La_Paz: bolivia
America/Guayaquil: quito, guayaquil
America/Panama: panama
America/Havana: havana, cuba
America/Jamaica: jamaica
America/Puerto_Rico: puerto rico
America/Costa_Rica: costa rica
America/Guatemala: guatemala
America/El_Salvador: el salvador
America/Tegucigalpa: honduras
America/Managua: nicaragua
America/Santo_Domingo: dominican republic, the dominican republic, santo domingo
America/Port-au-Prince: haiti
America/Barbados: barbados
America/Nassau: bahamas, the bahamas, nassau
Atlantic/Bermuda: bermuda
Atlantic/Reykjavik: reykjavik, iceland
Europe/London: london, england, uk, the uk, united kingdom, the united kingdom, britain, great britain, scotland, wales
Europe/London: edinburgh, glasgow, liverpool, leeds, belfast, northern ireland
Europe/Dublin: dublin, ireland
Europe/Paris: paris, france, lyon, marseille, toulouse, bordeaux, strasbourg
Europe/Berlin: berlin, germany, munich, hamburg, frankfurt, cologne, stuttgart, dusseldorf, düsseldorf, leipzig, dresden
Europe/Madrid: madrid, barcelona, seville
Europe/Lisbon: lisbon
Europe/Rome: rome, italy, milan, venice, turin, bologna
Europe/Vienna: vienna, austria, salzburg
Europe/Zurich: zurich, zürich, geneva, switzerland, bern, basel
Europe/Brussels: brussels, belgium, antwerp
Europe/Amsterdam: amsterdam, rotterdam, the hague
Europe/Copenhagen: copenhagen
Europe/Oslo: oslo, norway
Europe/Stockholm: stockholm, sweden, gothenburg
Europe/Helsinki: helsinki, finland
Europe/Warsaw: warsaw, poland, krakow
Europe/Prague: prague, czech republic, the czech republic, czechia
Europe/Budapest: budapest, hungary
Europe/Athens: athens, greece
Europe/Bucharest: bucharest, romania
Europe/Sofia: sofia, bulgaria
Europe/Belgrade: belgrade, serbia
Europe/Zagreb: zagreb, croatia
Europe/Ljubljana: ljubljana, slovenia
Europe/Kyiv: kyiv, kiev, ukraine
Europe/Minsk: minsk, belarus
Europe/Riga: riga, latvia
Europe/Tallinn: tallinn, estonia
Europe/Vilnius: vilnius, lithuania
Europe/Istanbul: istanbul, turkey, ankara
Europe/Moscow: moscow
Europe/Luxembourg: luxembourg
Europe/Malta: malta
Africa/Cairo: cairo, egypt
Africa/Johannesburg: johannesburg, cape town, south africa, pretoria
Africa/Lagos: lagos, nigeria
Africa/Nairobi: nairobi, kenya
Africa/Accra: accra, ghana
Africa/Addis_Ababa: addis ababa, ethiopia
Africa/Casablanca: casablanca, morocco, marrakesh
Africa/Algiers: algiers, algeria
Africa/Tunis: tunis, tunisia
Africa/Dakar: dakar, senegal
Africa/Abidjan: abidjan, ivory coast
Africa/Kampala: kampala, uganda
Africa/Dar_es_Salaam: dar es salaam, tanzania
Africa/Harare: harare, zimbabwe
Africa/Lusaka: lusaka, zambia
Asia/Tokyo: tokyo, japan, osaka, kyoto
Asia/Seoul: seoul, south korea, busan
Asia/Shanghai: shanghai, china, beijing, shenzhen, guangzhou
Asia/Hong_Kong: hong kong
Asia/Taipei: taipei, taiwan
Asia/Singapore: singapore
Asia/Kuala_Lumpur: kuala lumpur, malaysia
Asia/Jakarta: jakarta
Asia/Makassar: bali
Asia/Manila: manila, philippines, the philippines
Asia/Bangkok: bangkok, thailand, phuket
Asia/Ho_Chi_Minh: saigon, ho chi minh city, hanoi, vietnam
Asia/Kolkata: india, mumbai, delhi, new delhi, chennai, kolkata, calcutta, bangalore, bengaluru, pune
Asia/Karachi: karachi, pakistan, lahore, islamabad
Asia/Dhaka: dhaka, bangladesh
Asia/Colombo: sri lanka, colombo
Asia/Kathmandu: kathmandu, nepal
Asia/Dubai: dubai, uae, the uae, abu dhabi, united arab emirates, the united arab emirates
Asia/Riyadh: riyadh, saudi arabia
Asia/Tehran: tehran, iran
Asia/Baghdad: baghdad, iraq
Asia/Jerusalem: jerusalem, israel, tel aviv
Asia/Beirut: beirut, lebanon
Asia/Amman: amman
Asia/Qatar: qatar, doha
Asia/Kuwait: kuwait
Asia/Kabul: kabul, afghanistan
Asia/Yangon: yangon, myanmar
Asia/Phnom_Penh: phnom penh, cambodia
Australia/Sydney: sydney, canberra
Australia/Melbourne: melbourne
Australia/Brisbane: brisbane, queensland
Australia/Perth: perth
Australia/Adelaide: adelaide
Australia/Darwin: darwin
Australia/Hobart: hobart, tasmania
Pacific/Auckland: auckland
Pacific/Fiji: fiji
Pacific/Guam: guam
"""

# Standard time is meant: while clocks there show summer time, it is not known whether it really is.
_STANDARD = {
    "est": ("America/New_York", "EST"),
    "eastern standard": ("America/New_York", "EST"),
    "eastern standard time": ("America/New_York", "EST"),
    "mst": ("America/Denver", "MST"),
    "mountain standard": ("America/Denver", "MST"),
    "mountain standard time": ("America/Denver", "MST"),
    "central standard": ("America/Chicago", "CST"),
    "central standard time": ("America/Chicago", "CST"),
    "pst": ("America/Los_Angeles", "PST"),
    "pacific standard": ("America/Los_Angeles", "PST"),
    "pacific standard time": ("America/Los_Angeles", "PST"),
    "edt": ("America/New_York", "EDT"),
    "pdt": ("America/Los_Angeles", "PDT"),
}

# What may follow a city of that zone: Sydney, Australia; not Paris, Texas.
REGIONS: Mapping[str, str] = {
    "australia": "Australia/",
    "texas": "America/Chicago",
    "florida": "America/New_York",
    "georgia": "America/New_York",
    "tennessee": "America/Chicago",
    "nevada": "America/Los_Angeles",
    "washington": "America/Los_Angeles",
    "michigan": "America/Detroit",
    "tx": "America/Chicago",
    "fl": "America/New_York",
    "ny": "America/New_York",
    "ca": "America/Los_Angeles",
    "nv": "America/Los_Angeles",
    "usa": "America/",
    "united states": "America/",
    "spain": "Europe/Madrid",
    "portugal": "Europe/Lisbon",
    "mexico": "America/Mexico_City",
    "brazil": "America/Sao_Paulo",
    "russia": "Europe/Moscow",
    "denmark": "Europe/Copenhagen",
    "netherlands": "Europe/Amsterdam",
    "the netherlands": "Europe/Amsterdam",
    "indonesia": "Asia/Jakarta",
    "ontario": "America/Toronto",
    "canada": "America/",
    "new zealand": "Pacific/Auckland",
}
_CLOCKS = ("eastern", "central", "mountain", "pacific", *(name for name in _STANDARD if name.endswith("standard")))


@dataclass(frozen=True, slots=True)
class Place:
    """``abbreviation``: what clocks there must show now for the name to be right, if anything."""

    name: str
    zone: str
    abbreviation: str = ""

    @property
    def is_clock_name(self) -> bool:
        """Eastern time, UTC: no place that a city lies in."""
        return (
            bool(self.abbreviation)
            or self.zone == "UTC"
            or self.name.startswith(("Eastern", "Central", "Mountain", "Pacific"))
        )


def _named() -> Mapping[str, Place]:
    places = {}
    for line in _ZONES.strip().splitlines():
        zone, _, names = line.partition(": ")
        for name in names.split(", "):
            places[name] = Place(_shown(name), zone)
    for name, (zone, abbreviation) in _STANDARD.items():
        places[name] = Place(_shown(name), zone, abbreviation)
    return places


def _shown(name: str) -> str:
    """As it stands in a sentence."""
    if len(name.replace(".", "")) <= 3:
        return name.upper()
    if name in _CLOCKS or name.removeprefix("us ") in _CLOCKS:
        name = f"{name} time"
    small = ("the", "de", "of", "es", "time")
    capitals = ("us", "dc", "d.c")
    return " ".join(
        word if word in small else word.upper() if word in capitals else word.capitalize() for word in name.split()
    )


PLACES = _named()
PLACE_WORDS_MAX = max(len(name.split()) for name in PLACES)
