"""Marks in lower-case text that orders to a model carry, and signs that a text must be read in another way first."""

from __future__ import annotations

from functools import cache

from policies.screening.injection.matching import Matcher

_ASKED = (
    r"(?:what (?:does|is|do)|explain|define|mean(?:s|ing)? of|detect|prevent|protect|classif\w+|phrase|such as|like)"
)
_ANY_ESCAPED = r"\\[^\\\n]{1,2}"
_ESCAPED = rf"\\[aceghijklmopqyz\x80-\x{{10ffff}}] ?{_ANY_ESCAPED}"  # by no regular expression

# Name: alternatives, in the syntax of RE2.
MARKS = {
    # Marks that split a model's input into roles.
    "chat_mark": (
        r"<\|?/?(?:im_start|im_end|im_sep|system|assistant|endoftext|eot_id|eot|sot|endofprompt)\|?>",
        r"<\|?/?(?:start_header_id|end_header_id|start_of_turn|instructions?|prompt|admin)\|?>",
        r"\[/?(?:inst|system|system_message|assistant|admin|internal|override)(?: [a-z]+)?\]",
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
            r"(?:[^\n]*\n)?[^a-z\n]*(?:user|human|ai|assistant|chatgpt|a|input) ?:"
        ),
    ),
    "named_persona": (
        r"\b(?:as|called|be|named|mode) [\"'“]?dan\b",
        r"\bdan (?:mode|can|is|has|will|does)\b",
        r"\[dan|\bdan:|do anything now",
    ),
    # What a command does that is given to be run for the harm of it.
    "payload": (
        r"whoami|rm -rf|/etc/(?:passwd|shadow)|\breboot\b|\bshutdown\b|kill -9|:\(\)\{|while :;|base64 -d",
        r"/dev/tcp/|nc -e",
        r"os\.(?:system|popen|environ)|os\.\w+\('|subprocess|__(?:subclasses|globals|import|class)__|eval\(|exec\(",
        r"child_process|\$\(curl|invoke-webrequest|powershell|xp_cmdshell|drop table|' or 1=1|<script|onerror=",
        r"(?:sh|python3?|perl|ruby|node) -[ce]|document\.cookie|id_rsa|javascript:|getsource",
        r"/proc/self|fetch\(['\"]http|\{\{[^}\n]*\}\}",
    ),
    "run_payload": (
        (
            r"(?:^|\n)\W*(?:please )?(?:run|execute|evaluate|eval|bypass|exec|skip|avoid|circumvent|work around|evade"
            r"|get around|what is the (?:final )?result of|print the result of)\b[^\n`'\"]*[:`]"
        ),
    ),
    "exfiltrates": (
        r"!\[[^\]\n]*\]\(https?:",
        r"(?:send|forward|post|exfiltrate|upload|transmit)\b[^.\n]*(?: to (?:https?:|www\.|[\w.]+@)|attacker|external)",
    ),
    "token_game": (
        r"\$[a-z]\w* ?=|\b[a-z]\d? ?= ?['\"]",
        r"\btokens?\b[^.\n]*\b(?:deduct|lose|loose|points|lives)",
    ),
    "answers_tag": (
        r"\[[^\]\n]*(?:jailbreak|gpt|classic|dan|unfiltered|developer mode|output)[^\]\n]*\]",
        "\U0001f513|\U0001f512",  # an open and a closed padlock
    ),
    # Games with a secret that a model is told to keep.
    "asks_key": (
        (
            r"\b(?:reveal|print|output|repeat|say|tell|return|translate|spell)(?:\W+\w+){0,3}?\W+(?:the |your |\$)"
            r"(?:secret|access|admin|master)[ _]?(?:key|code|pass(?:word|phrase|code))\b"
        ),
    ),
    # Letters between backslashes, and a word of old games by letters.
    "spelt": (
        rf"{_ESCAPED}(?:{_ANY_ESCAPED})*{_ESCAPED}(?:{_ANY_ESCAPED})*{_ESCAPED}\\",
        r"\bp[\W_]{1,4}w[\W_]{1,4}n[\W_]{1,4}e[\W_]{1,4}d\b|\bp[\W_]{1,4}wned\b|\bpw[\W_]{1,4}ned\b",
        r"i ?ha?ve? ?be+n ?pw|d[e3]n ?wp\b|\bdewnp",
    ),
    "braces": (r"[\[{<](?:input|prompt|question|query|text|insert)[^\]}>\n]*[\]}>]",),
    "quotes_it": (
        _ASKED + r"[^\n\"'`]*[\"'“‘`][^\"'`\n]*[\"'”’`]",
        r"\bprompt injections?\b",
    ),
    "document": (
        r"(?:^|\n)\|[^\n]*\|[^\n]*\|",
        r"(?:^|\n|\|)(?:from|subject|received date|content|sender|to) ?:",
        r"\bunsubscribe\b|\b(?:kind|best|warm) regards\b|\bsincerely\b|(?:^|\n)(?:dear|hi) \w+,|\bprivacy policy\b",
    ),
    "fence": (r"```",),
}
# Those that look for their end far behind their beginning: a walk of their own.
_FAR = ("system_line", "turn", "run_payload", "exfiltrates", "token_game", "braces", "quotes_it", "document")
# Looser than what they lead to in reading.py and decoding.py.
SIGNALS = {
    "leet": (r"[a-z][01345789@$!|+]{1,3}[a-z]|\b[01345789@$!|+]{1,2}[a-z][a-z01345789@$!|+]|[a-z][13457]\b",),
    "spaced": (r"\b[a-z0-9](?:[ \-._*|\\]{1,4}[a-z0-9]\b){3}",),
    "long": (r"[a-z0-9+/_-]{18}|\\x[0-9a-f]",),  # words run together, base64, hexadecimal digits, bits
    "pairs": (r"(?:[0-9a-f]{2}[ ,:]){4}",),
    "bits": (r"[01]{8} [01]{8}",),
    "entities": (r"&#x?[0-9a-f]+;&#",),
    "escapes": (r"\\[ux][0-9a-f]+\\[ux]",),
    "percent": (r"%[0-9a-f]{2}[a-z]*%[0-9a-f]{2}",),
    "morse": (r"(?:[.-]+[ /]+){4}",),
}


@cache
def marks() -> Matcher:
    """Over lower-case text."""
    joined = {name: "|".join(expressions) for name, expressions in MARKS.items()}
    far = {name: joined.pop(name) for name in _FAR}
    return Matcher(joined, far)


@cache
def signals() -> Matcher:
    """Over lower-case text."""
    return Matcher({name: "|".join(expressions) for name, expressions in SIGNALS.items()})
