"""Marks in lower-case text that orders to a model carry, and signs that a text must be read in another way first."""

from __future__ import annotations

from functools import cache

from policies.screening.injection.matching import Matcher

_ASKED = (
    r"(?:what (?:does|is|do)|explain|define|mean(?:s|ing)? of|detect|prevent|protect|classif\w+|phrase|such as|like)"
)

# Name: alternatives, in the syntax of RE2.
MARKS = {
    # Marks that split a model's input into roles.
    "chat_mark": (
        r"<\|?/?(?:im_start|im_end|im_sep|system|assistant|endoftext|eot_id|eot|sot|endofprompt)\|?>",
        r"<\|?/?(?:start_header_id|end_header_id|start_of_turn|instructions?|prompt|admin)\|?>",
        r"\[/?(?:inst|system|system_message|assistant|admin|internal|override)\]",
        r"<</?sys>>",
        r"\bim_(?:start|end)\b",
        r"[\"']role[\"'] ?: ?[\"'](?:system|developer|internal)",
    ),
    "system_line": (
        (
            r"(?:^|\n|[\"'>*\]#(-])[ #*\[-]*(?:system|assistant|developer|admin|root|internal|sys)"
            r"(?: (?:prompt|message|note|override|update|instructions?|alert|command))?[\]*]{0,3} ?:"
        ),
    ),
    "section": (
        (
            r"(?:#{2,}|={3,}|-{3,}|\*{3,}|/{2,}|<!--) ?(?:new |end |begin |start |important |updated |hidden )?(?:of )?"
            r"(?:system|instructions?|prompt|user|input|task|override|context|response|important|ignore|document)"
        ),
    ),
    "turn": (
        (
            r"(?:^|\n) *(?:user|human|ai|assistant|chatgpt|q|response|output) ?:[^\n]*\n"
            r"(?:[^\n]*\n)?[^\n]{0,20}(?:user|human|ai|assistant|chatgpt|a|input) ?:"
        ),
    ),
    "named_persona": (
        r"\b(?:as|called|be|named|mode) [\"'“]?dan\b",
        r"\bdan (?:mode|can|is|has|will|does)\b",
        r"\[dan|\bdan:|do anything now",
        r"\b(?:developer|dev|jailbreak|god|opposite) mode\b",
    ),
    # What a command does that is given to be run for the harm of it.
    "payload": (
        r"whoami|rm -rf|/etc/(?:passwd|shadow)|\breboot\b|\bshutdown\b|kill -9|:\(\)\{|while :;|base64 -d",
        r"/dev/tcp/|nc -e",
        r"os\.(?:system|popen|environ)|os\.\w+\('|subprocess|__(?:subclasses|globals|import|class)__|eval\(|exec\(",
        r"child_process|\$\(curl|invoke-webrequest|powershell|xp_cmdshell|drop table|' or 1=1|<script|onerror=",
        r"(?:sh|python3?|perl|ruby|node) -[ce]|document\.cookie|id_rsa|\{\{.{0,60}\}\}",
    ),
    "run_payload": (
        (
            r"(?:^|\n)\W*(?:please )?(?:run|execute|evaluate|eval|bypass|exec|circumvent|work around|get around|evade"
            r"|what is the (?:final )?result of|print the result of)\b[^\n`'\"]{0,40}[:`]"
        ),
    ),
    "exfiltrates": (
        r"!\[[^\]\n]{0,80}\]\(https?:",
        r"(?:send|forward|post|exfiltrate|email|upload|transmit)[^.\n]{0,60}(?:https?:|www\.|@|attacker|external)",
    ),
    "token_game": (
        r"\$[a-z]\w{0,12} ?=|\b[a-z]\d? ?= ?['\"]",
        r"\btokens?\b[^.\n]{0,40}\b(?:deduct|lose|loose|points|lives)",
    ),
    "answers_tag": (
        r"\[[^\]\n]{0,8}(?:jailbreak|gpt|classic|dan|unfiltered|developer mode|output)[^\]\n]{0,20}\]",
        "\U0001f513|\U0001f512",  # an open and a closed padlock
    ),
    "braces": (r"[\[{<](?:input|prompt|question|query|text|insert)[^\]}>\n]{0,20}[\]}>]",),
    "quotes_it": (
        _ASKED + r"[^\n]{0,60}[\"'“‘`][^\"'\n]{0,80}[\"'”’`]",
        r"\bprompt injections?\b",
    ),
    "document": (
        r"(?:^|\n)\|[^\n]*\|[^\n]*\|",
        r"(?:^|\n|\|)(?:from|subject|received date|content|sender|to) ?:",
    ),
    "fence": (r"```",),
}
# Looser than what they lead to in reading.py and decoding.py.
SIGNALS = {
    "leet": (r"[a-z][01345789@$!|+]{1,3}[a-z]|\b[01345789@$!|+]{1,2}[a-z][a-z01345789@$!|+]|[a-z][13457]\b",),
    "spaced": (r"\b[a-z0-9](?:[ \-._*|\\]{1,4}[a-z0-9]\b){4}",),
    "joined": (r"[a-z]{18}",),
    "base64": (r"[a-z0-9+/]{20}|[a-z0-9_-]{24}",),
    "hex": (r"(?:[0-9a-f]{2}[ ,:]?){8}|(?:0x|\\x)[0-9a-f]{2}[ ,]?(?:0x|\\x)[0-9a-f]{2}",),
    "bits": (r"(?:[01]{8}[ ,]?){5}",),
    "entities": (r"&#x?[0-9a-f]{2,6};&#",),
    "escapes": (r"(?:\\[ux][0-9a-f]{2,4}){3}",),
    "percent": (r"%[0-9a-f]{2}[a-z]*%[0-9a-f]{2}[a-z]*%",),
    "morse": (r"(?:[.-]{1,5}[ /]{1,3}){8}",),
}


@cache
def marks() -> Matcher:
    """For both, over lower-case text."""
    return Matcher({name: "|".join(expressions) for name, expressions in {**MARKS, **SIGNALS}.items()})
