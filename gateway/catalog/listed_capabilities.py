"""What the price list says of the things that a model cannot do.

The list mostly states what a model has (``supports_vision``: true) and seldom what it has not. Silence is read as no
where it can be trusted, and else as not known:

- what is stated as false is lacking, and so is sight or hearing where ``supported_modalities`` leaves them out;
- an entry that states other things and is silent on images is of a model that sees none: nearly each one that sees
  says so (in litellm 1.106.2 not OpenAI's fine-tunes, Azure's gpt-5.*-chat, Bedrock's Llama 4 and Pixtral);
- a model that sees no images reads no PDFs, unless its entry says that it does: they are read as images.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import Capability

_STATED_BY: Mapping[Capability, str] = {
    Capability.TOOLS: "supports_function_calling",
    Capability.JSON_SCHEMA: "supports_response_schema",
    Capability.VISION: "supports_vision",
    Capability.AUDIO: "supports_audio_input",
    Capability.FILES: "supports_pdf_input",
}
_MODALITIES: Mapping[Capability, str] = {Capability.VISION: "image", Capability.AUDIO: "audio"}


def lacking(entry: Mapping[str, object]) -> frozenset[Capability]:
    """What a model of the list is known not to have, by its entry."""
    stated = {one: entry[name] is True for one, name in _STATED_BY.items() if isinstance(entry.get(name), bool)}
    modalities = entry.get("supported_modalities")
    if isinstance(modalities, list):
        for one, modality in _MODALITIES.items():
            stated.setdefault(one, modality in modalities)
    if stated:
        stated.setdefault(Capability.VISION, False)
    if stated.get(Capability.VISION) is False:
        stated.setdefault(Capability.FILES, False)
    return frozenset(one for one, has in stated.items() if not has)
