"""A line of `obol ledger tail`: which stage an entry pays for, and what guards said."""

from __future__ import annotations

import msgspec
from postgres_parts import make_entry

from gateway.commands.ledger_tail import HEADER, line
from gateway.domain import GuardVerdict, Purpose


def shown(**fields):
    return line(msgspec.json.decode(msgspec.json.encode(make_entry(**fields))))


def test_the_stage_stands_under_its_heading_whether_the_entry_says_it_or_not():
    for stage, expected in (("output_moderation", "output_moderation"), (None, "routing")):
        text = shown(purpose=Purpose.JUDGE, stage=stage)
        assert text[HEADER.index("stage") :].split()[0] == expected


def test_guards_stand_at_the_end_with_what_they_said():
    verdicts = tuple(
        GuardVerdict(name, "1", "input", "block", said, 0.1) for name, said in (("a", "passed"), ("b", "failed"))
    )

    assert shown(guards=verdicts)[HEADER.index("guards") :] == "a=passed b=failed"
    assert shown(guards=()).split()[-1].startswith("req_")
