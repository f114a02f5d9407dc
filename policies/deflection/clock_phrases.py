"""How dates and times are asked for, in the notation of phrase_grammar, with @ for a day or place and # for a time.

Every pattern is to match a whole question.
"""

from __future__ import annotations

import re

from policies.deflection.phrase_grammar import compiled, compiled_parts

_PARTS = compiled_parts(
    {
        "now": "[(right now | now | currently | at the moment | at this moment | today | please | here)]*",
        "place": "([the] [(city of | state of)] @ [(timezone | time | area | standard timezone)])",
        "what is": "(what is | what's | what was | what will be | what would be | what would | what will | what)",
        "which": "(what | which)",
        "date": """
            (date | day of the week | day of the month | day | weekday | date and day | day and date)
            (month day and year | day month and year | date month and year)
        """,
        "is it": """
            (is it | it is | was it | it was | will it be | it will be | would it be | is it gonna be | is it going
                to be)
            (are we in | are we on | is the date | is | was | will be | will)
        """,
        "timezone": "([the] [current] timezone)",
        "there": "(for | of | in | on | at | over in)",
        "the time": "((what is | what's) the time)",
        "what time": """
            (what | how | which) time [of day] (is it | it is | it's | will it be | would it be)
            [{what is}] [(the | my)] [(current | exact | correct | local | right)]* time [(is it | it is | is | set
                to | be)]
            [{what is}] [the] [current] (date and time | time and date) [is it]
            (how late is it | when is it | what hour [and minute] is it | how is the time)
            what (does | 's) (it say on the clock | the clock say)
            what's the clock say
            (have you | do you have | got) [got] the time
        """,
        "then there": """
            (what time (is it | will it be | would it be | is that) | {the time} | what is it | what time) [(in | is
                it in)]
        """,
        "from": "([(in | on | at)] {place})",
    }
)


def _pattern(phrases: str) -> re.Pattern[str]:
    return re.compile(compiled(phrases, _PARTS))


DATE = _pattern("""
    [{what is}] [the] [(current | exact | correct | full | calendar | actual)]* {date}
    [{what is}] [the] [(current | exact | correct | full | calendar | actual)]* {date} (
        [(be | is | was | will be | it is | it will be)] [(on | for | of)] [@] [(be | is what)]
        [on the (calendar | calender)])
    {which} {date} {is it} [@] [be]
    [{what is}] @ ['s] [exact] (date | day) [(be | is)] [[will be] {which} [(date | day)]]
    @ (is | will be | was) {which} [{date}]
    @ {which} {date} (will it be | is it | was it)
    @ what (will | is | was) [be] the {date} [be]
    @ what will it be
    what (month | year) (is it | is this | it is | are we in)
    [{what is}] the current (month | year)
""")
DATE_BY_NAME = _pattern("""
    {what is} @ [on the (calendar | calender)]
    what @ is
""")
IS_IT_WEEKDAY = re.compile(
    r"is (?:it |today )(?P<day>monday|tuesday|wednesday|thursday|friday|saturday|sunday) (?:today |now )?"
)
WEEKDAY = _pattern("""
    {which} (day | weekday) [of the week] (is | was | will be | will | did | does | was it | is it | will it be) (
        [on] @ [(fall | be | land | falling)] [on])
    @ (is | was | will be | falls on | fell on | was on | is on) {which} (day | weekday) [of the week]
    [{what is}] [the] (day of the week | weekday) (of | for | on | was | is) @
""")
DAYS_UNTIL = _pattern("""
    (how many | [what is] the number of) days [(are there | is it | are | is there | are left | left | remain)] (
        (until | till | to | before | from now until | from now to | from today to | from today until) @)
    days (until | till) @
""")
DAYS_SINCE = _pattern("""
    (how many | [what is] the number of) days [(are there | is it | has it been | passed | have passed)] since @
    days since @
""")
DAYS_BETWEEN = _pattern("""
    (how many | [what is] the number of) days [(are there | is it | are | were there | passed | there are)] (
        (between | from) @ (and | to | until) @)
    days between @ and @
""")
TIME = _pattern("""
    {what time} {now} [[({there} | is it in | is in)] {place}] {now}
""")
TIME_THERE = _pattern("""
    [right now] in {place} {what is} [the] [current] time [is it] {now}
    [{what is}] [the] [(current | local)]* @ ['s] [local] time (now | right now | is it)
    [{what is}] the [(current | local)]* @ ['s] [local] time
""")
TIMEZONE = _pattern("""
    [in] ({which} | what is | what's) {timezone} [(now | currently)] (
        (is | for | of | in | does | do they use in | would | is used in | do they have in | do people use in
         | are they in in | is observed in) {place} [located]
        [(in | is in | use | be in | have | follow | fall | fall in | lie in)] {now})
    [{what is}] {place} ['s] timezone [is what]
    [{what is}] {timezone} (for | of | in | used in | that is used in) {place}
    [{what is}] {timezone} {place} is in
    in {place} {what is} {timezone} [be]
    {place} is in {which} timezone
    (if | when) (i am | i'm | you're | you are) in {place} {what is} [would] {timezone} [(be | are you in | am i in)]
    {which} timezone {place} [is] in
    {which} timezone contains [the city of] {place}
    (for | search for | look up | find) {place} ['s] timezone
""")
DIFFERENCE = _pattern("""
    [{what is}] [the] [current] (timezone | time | hour) difference (between | from) {place} (and | to) {place} [is
        what]
    convert {place} (to | into) {place}
    how many hours (ahead | behind | apart) (is | are) {place} (of | from | and | to | compared to) {place}
""")
ELSEWHERE = _pattern("""
    [(if | when | say)] [(it's | it is)] # {from} {then there} {place} {now}
    (convert | change | translate) # [from] {from} (to | into | in) {place}
    [(what is | what's)] # [in] {place} (is what in | is what time in | is what time | in | to) {place}
    what time is # [in] {place} in {place}
""")
ELSEWHERE_FIRST = _pattern("""
    (what time (is it | will it be) | {the time}) in {place} (when | if | at) [(it's | it is)] # [in] {place}
""")
