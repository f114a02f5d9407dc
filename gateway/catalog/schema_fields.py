"""What the parts of a catalog file are made of: names, addresses, amounts, each with what is wrong with a bad one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.domain import BUDGET_NUSD_MAX, LABEL, NANO

NAME_LENGTH_MAX = 200


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question in brackets that names the nearest known word, empty when none is near."""
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, data: Any) -> Any:
        """Name the unknown key and the nearest known one, which ``extra="forbid"`` alone would not."""
        if not isinstance(data, dict):
            raise PydanticCustomError("no_mapping", "expected keys and values")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data:
            if key not in known and not cls._allows(key):
                near = did_you_mean(key, known)
                raise PydanticCustomError("unknown_key", "unknown key {key}{near}", {"key": key, "near": near})
        return data

    @classmethod
    def _allows(cls, key: str) -> bool:
        del key
        return False


def no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("no_number", "expected a number")
    return value


def _is_name(value: str) -> str:
    if not value or len(value) > NAME_LENGTH_MAX or not value.isprintable() or " " in value:
        raise PydanticCustomError("bad_name", "expected a name without spaces, of at most 200 characters")
    return value


def _is_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        is_good = False
    if not is_good or not value.isprintable() or " " in value:
        raise PydanticCustomError("bad_url", "expected an address such as https://host/v1")
    return value


def _is_credential(value: str) -> str:
    """A key goes into a header: a line break at its end (from a file) or a space would break or smuggle one."""
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise PydanticCustomError("bad_key", "a key is printable ASCII without spaces or line breaks")
    return value


def _is_header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
        raise PydanticCustomError("bad_header", "expected the name of an HTTP header")
    return value


def _is_header_value(value: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e\t]*", value):
        raise PydanticCustomError("bad_header", "a header's value is printable ASCII without line breaks")
    return value


def _is_label(value: str) -> str:
    if not LABEL.fullmatch(value):
        raise PydanticCustomError("bad_label", "expected a word such as eu-west-1, of letters, digits and . _ : -")
    return value


def _is_image_size(value: str) -> str:
    if not re.fullmatch(r"([a-z]+/)?[1-9]\d{0,4}x[1-9]\d{0,4}", value):
        raise PydanticCustomError("bad_size", "expected a size such as 1024x1536, or with a quality: hd/1024x1536")
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Address = Annotated[str, AfterValidator(_is_url)]
Credential = Annotated[str, AfterValidator(_is_credential)]
Label = Annotated[str, AfterValidator(_is_label)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]
HeaderName = Annotated[str, AfterValidator(_is_header_name)]
HeaderValue = Annotated[str, AfterValidator(_is_header_value)]
# USD per one million tokens. The bound keeps a slip of the pen (USD per token) from becoming a bill.
Rate = Annotated[Decimal, BeforeValidator(no_bool), Field(ge=0, le=1_000_000)]
UnitPrice = Annotated[Decimal, BeforeValidator(no_bool), Field(ge=0, le=1000)]  # USD per one unit
Limit = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
Days = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=3650)]
Weight = Annotated[float, BeforeValidator(no_bool), Field(ge=0, le=1_000_000)]
Mode = Literal[
    "chat",
    "completion",
    "responses",
    "embedding",
    "moderation",
    "audio_speech",
    "audio_transcription",
    "image_generation",
    "image_edit",
    "rerank",
]
ImageSize = Annotated[str, AfterValidator(_is_image_size)]
Share = Annotated[float, BeforeValidator(no_bool), Field(ge=0, lt=1)]
Quality = Annotated[float, BeforeValidator(no_bool), Field(ge=0, le=1)]
Cap = Annotated[Decimal, BeforeValidator(no_bool), Field(gt=0, le=BUDGET_NUSD_MAX // NANO, decimal_places=9)]  # USD
Seconds = Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=86400)]
Least = Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=1)]
