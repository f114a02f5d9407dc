"""Greetings, thanks and goodbyes in other languages, without accents and marks, and the answer in the same language."""

from __future__ import annotations

from collections.abc import Mapping

_SPANISH = "¡Hola! ¿En qué puedo ayudarte?"
_FRENCH = "Bonjour ! Comment puis-je vous aider ?"
_GERMAN = "Hallo! Wie kann ich helfen?"
_ITALIAN = "Ciao! Come posso aiutarti?"
_PORTUGUESE = "Olá! Como posso ajudar?"

FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(("hola", "buenos dias", "buenas tardes", "buenas noches", "hola amigo"), _SPANISH),
    **dict.fromkeys(("gracias", "muchas gracias", "mil gracias", "muchisimas gracias"), "¡De nada!"),
    **dict.fromkeys(
        ("adios", "hasta luego", "hasta la vista", "hasta manana", "adios amigo", "hasta pronto"), "¡Adiós!"
    ),
    **dict.fromkeys(("bonjour", "salut", "bonsoir", "coucou"), _FRENCH),
    **dict.fromkeys(("merci", "merci beaucoup", "merci bien"), "De rien !"),
    **dict.fromkeys(("au revoir", "a bientot", "bonne nuit", "bonne journee"), "Au revoir !"),
    **dict.fromkeys(("guten tag", "guten morgen", "guten abend", "gruss gott", "moin", "servus"), _GERMAN),
    **dict.fromkeys(("danke", "danke schon", "vielen dank", "danke sehr", "dankeschon"), "Gern geschehen!"),
    **dict.fromkeys(("auf wiedersehen", "tschuss", "bis bald", "gute nacht", "bis spater"), "Auf Wiedersehen!"),
    **dict.fromkeys(("buongiorno", "buonasera", "salve"), _ITALIAN),
    **dict.fromkeys(("grazie", "grazie mille", "molte grazie"), "Prego!"),
    **dict.fromkeys(("arrivederci", "buona notte", "buonanotte"), "Arrivederci!"),
    "ciao": "Ciao!",
    **dict.fromkeys(("ola", "bom dia", "boa tarde"), _PORTUGUESE),
    **dict.fromkeys(("obrigado", "obrigada", "muito obrigado", "muito obrigada"), "De nada!"),
    **dict.fromkeys(("konnichiwa", "こんにちは"), "こんにちは。ご用件をどうぞ。"),
    **dict.fromkeys(("arigato", "arigatou", "ありがとう", "ありがとうこさいます"), "どういたしまして。"),
    **dict.fromkeys(("sayonara", "さようなら"), "さようなら。"),
    **dict.fromkeys(("ni hao", "你好", "您好"), "你好!请问有什么可以帮您?"),
    **dict.fromkeys(("xie xie", "谢谢", "謝謝"), "不客气!"),
    **dict.fromkeys(("привет", "здравствуите", "добрыи день"), "Здравствуйте! Чем могу помочь?"),
    "спасибо": "Пожалуйста!",
    **dict.fromkeys(("до свидания", "пока"), "До свидания!"),
    "안녕하세요": "안녕하세요! 무엇을 도와드릴까요?",
    "감사합니다": "천만에요!",
    **dict.fromkeys(("namaste", "aloha", "shalom", "salaam", "as salamu alaykum"), "Hello! How can I help you?"),
}

#: Answers to thanks and goodbyes.
FOREIGN_PARTINGS = frozenset(
    FOREIGN[said]
    for said in (
        *("gracias", "adios", "merci", "au revoir", "danke", "auf wiedersehen", "grazie", "arrivederci", "obrigado"),
        *("arigato", "sayonara", "谢谢", "спасибо", "до свидания", "감사합니다"),
    )
)
