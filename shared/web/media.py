"""Media types as real clients write them.

Senders disagree on quoting, blanks, case and stray semicolons, and several put a slash into an
unquoted value (`type=application/dicom`), which the grammar of RFC 9110 forbids. PS3.18 section 8.7.7
has us ignore what is wrong, so reading is lenient here and strictness is left to whoever asks.
"""

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type with its parameters."""

    type: str
    """The part before the slash, in lower case; may be `*` in an Accept header."""

    subtype: str
    """The part after the slash, in lower case; may be `*` in an Accept header."""

    parameters: tuple[tuple[str, str], ...] = ()
    """Names in lower case with their values, without quotes, in the order sent, doubled ones too."""

    @property
    def name(self) -> str:
        """Type and subtype, without parameters."""
        return f"{self.type}/{self.subtype}"

    def get(self, name: str) -> str | None:
        """Give the first value of a parameter, if it was sent."""
        return next((value for key, value in self.parameters if key == name), None)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Give every value of a parameter, in the order sent."""
        return tuple(value for key, value in self.parameters if key == name)


def parse_media_type(text: str) -> MediaType | None:
    """Read a media type or media range, or give None when there is no type and subtype in it.

    Parameters without a value and stray semicolons are ignored.

    Source: PS3.18 sections 8.7.1 and 8.7.7.
    """
    first, *rest = split_outside_quotes(text, ";")
    kind, slash, subkind = (piece.strip().lower() for piece in first.partition("/"))
    if not (slash and _NAME.fullmatch(kind) and _NAME.fullmatch(subkind)):
        return None
    pairs = (piece.partition("=") for piece in rest)
    parameters = tuple((name.strip().lower(), unquote(value)) for name, equals, value in pairs if equals)
    return MediaType(kind, subkind, parameters)


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split a header value at a character, but not where it stands in a quoted string.

    A quote that is never closed is an ordinary character, so one broken entry cannot swallow the rest.
    """
    if '"' not in text:
        return text.split(separator)
    cuts, quoted, escaped = [-1], False, False
    for index, char in enumerate(text):
        if char == '"' and not escaped:
            quoted = not quoted
        elif char == separator and not quoted:
            cuts.append(index)
        escaped = quoted and char == "\\" and not escaped
    if quoted:
        return text.split(separator)
    ends = [*cuts[1:], len(text)]
    return [text[start + 1 : end] for start, end in zip(cuts, ends, strict=True)]


def unquote(text: str) -> str:
    """Take the quotes and the escapes off a parameter value."""
    text = text.strip()
    if not text.startswith('"'):
        return text
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
    return re.sub(r"\\(.)", r"\1", inner)
