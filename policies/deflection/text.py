"""What every deflector reads: one short line of plain characters, without the courtesies around a question."""

from __future__ import annotations

import re
import unicodedata

LENGTH_MAX = 300
_SPACES_MAX = 50

_SAME = {
    ord(theirs): ours
    for theirs, ours in {
        "‘": "'",
        "’": "'",
        "ʼ": "'",
        "“": '"',
        "”": '"',
        "×": "*",
        "✕": "*",
        "÷": " ÷ ",
        "−": "-",
        "²": "^2",
        "³": "^3",
        "\u00a0": " ",
        "\u202f": " ",
        "\u3000": " ",
        "\t": " ",
        "\n": " ",
        "\r": " ",
    }.items()
} | {full: chr(full - 0xFEE0) for full in range(0xFF01, 0xFF5F)}
_UNREADABLE = {"Cc", "Cf", "Co", "Cs", "Cn"}

# Each is bounded by the words that it names, and each round takes some away: linear in the length of the message.
_COURTESY = re.compile(
    r"(?:now|hey|hi|hello|ok|okay|so|um|well|please|pls|plz|kindly|just|quick question|question|ai|siri|alexa|olly"
    r"|assistant)(?: there)?\s*[,:!]?\s+",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"(?:(?:can|could|would|will) (?:you|u) (?:please |kindly |just )?(?:tell me|show me|give me|let me know|inform me"
    r"|help me(?: to)?|calculate|compute)"
    r"|(?:can|could|may) i (?:please )?(?:know|get|have|ask)|may i ask"
    r"|(?:please )?(?:tell me|show me|give me|let me know|inform me|share with me|share|provide|report"
    r"|display|show|see|mention)"
    r"|would you mind telling me|i(?:'m| am) needing to know"
    r"|i (?:really )?(?:need|want|wanna|would like|would love)(?: you)? to (?:know|find out|figure out|tell me)"
    r"|i'd (?:like|love) to (?:know|find out)|i wanna know|i wonder|i was wondering|do you (?:happen to )?know"
    r"|i would like|i need|i want|i'd like|help me(?: to)?)\s+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"[\s,]+(?:please|pls|plz|thanks|thank you|thx|for me|exactly|then|now please|will you|would you|can you"
    r"|if you can|if you would|if you please|ai|siri|alexa|olly)$",
    re.IGNORECASE,
)
_ROUNDS = 4
_VERBS_KEPT = re.compile(r"(calculate|compute)\s+$", re.IGNORECASE)


def plain(text: str) -> str | None:
    """The message as one line of single spaces; None where it is long, empty, or holds what no reader sees."""
    if not text or len(text) > LENGTH_MAX:
        return None
    line = " ".join(text.translate(_SAME).split())
    if (
        not line
        or line.count(" ") > _SPACES_MAX
        or any(unicodedata.category(one) in _UNREADABLE for one in line if not one.isascii())
    ):
        return None
    return line if line.isprintable() else None


def core(line: str) -> str:
    """The question itself, its letters as they were: "hey, could you tell me 2 + 2, please?" is "2 + 2"."""
    rest = line.lstrip(" ¿¡").rstrip(" ?.!")
    for _ in range(_ROUNDS):
        shorter = _TAIL.sub("", rest)
        if leading := _COURTESY.match(shorter) or _REQUEST.match(shorter):
            verb = _VERBS_KEPT.search(leading.group())
            shorter = (verb.group() if verb else "") + shorter[leading.end() :]
        shorter = shorter.lstrip(" ,").rstrip(" ?.!,")
        if shorter == rest:
            break
        rest = shorter
    return rest
