"""Calling codes of countries, and how many digits follow each: from the metadata of libphonenumber 9.0, Apache-2.0."""

from __future__ import annotations

from collections.abc import Mapping

# least-most:codes
_LENGTHS = (
    "4-5:290 4-7:683,690 4-10:98 4-11:352 4-13:43,598 5-5:500,682 5-6:247 5-7:676,677,678,688 5-8:47,386,686 5-10:27,"
    "64,685 5-11:31,852 5-12:358,971 5-14:82 5-15:49 6-6:298,299,672,687 6-7:597 6-9:40,252,355,376,421,508,681,689 "
    "6-10:46,53,95,880 6-11:375,595 6-12:39,61,359,381 6-13:63 7-7:238,239,246,248,269,291,297,592,673,674,680,691,"
    "692 7-8:241,599,670,675,853,961,965,975 7-9:220,231,245,265,354,385,423,967,968 7-10:1,44,48,84,230,243,254,263,"
    "267,353,372,960 7-11:501,503,507,679,886,974 7-12:86,882,972 7-13:90 7-17:62 8-8:45,216,222,223,226,227,228,232,"
    "235,236,253,257,266,350,356,357,370,371,373,374,389,505,509,800,808,973,993 8-9:32,36,51,213,224,233,237,250,"
    "258,264,268,377,382,387,591,962,963 8-10:20,60,378,506,850,855,856,964,970,976 8-11:55,57,65,502,504,593,977 "
    "8-12:92,383,883 8-13:66,91 8-17:81 9-9:33,34,41,93,94,211,212,218,221,240,242,244,249,251,255,256,260,261,262,"
    "351,420,590,594,596,979,992,994,995,998 9-10:380,881,966,996 9-11:56 9-12:870 10-10:52,58,225,229 10-11:54 "
    "10-12:30 10-14:7,234 11-11:888 12-12:878"
)


def _by_code() -> Mapping[str, range]:
    codes: dict[str, range] = {}
    for entry in _LENGTHS.split():
        lengths, _, listed = entry.partition(":")
        least, most = map(int, lengths.split("-"))
        codes |= dict.fromkeys(listed.split(","), range(least, most + 1))
    return codes


_CODES = _by_code()


def is_international(digits: str) -> bool:
    """Whether it is a calling code and as many digits as its country's numbers have; a trunk 0 may stand between."""
    for size in (1, 2, 3):
        lengths = _CODES.get(digits[:size])
        if lengths:
            rest = digits[size:]
            return len(rest) in lengths or (rest[:1] == "0" and len(rest) - 1 in lengths)
    return False
