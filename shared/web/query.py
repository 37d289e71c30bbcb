"""Reading the query string of a search.

What is asked by attribute is resolved by a function passed in, so that nothing here knows the dictionary.
Values stay encoded until the caller, who knows their type, takes them out in the manner that fits it.

Source: API rules sections 1.8, 8.2 and 8.6; clients sections 3.2 and 3.3.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from shared.errors import BadRequest

DEFAULT_LIMIT = 100
MAX_LIMIT = 5_000
MAX_OFFSET = 2_147_483_647

FindTag = Callable[[str], str | None]
"""Gives the tag (eight upper-case digits) of a keyword or of eight hexadecimal digits, if it is known."""

_CONTROLS = (
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "multiplevaluematching",
    "emptyvaluematching",
    "cursor",
)

# Not about the search: the Accept header in another place, a key of Azure Functions.
_ELSEWHERE = frozenset({"accept", "code"})

# Slim sends this beside PatientName.
_ODD_KEYS = frozenset({"PersonName"})

# Cache busters such as `_` and `t`, and the empty name of `?&x=y`. No keyword is as short, whatever its case.
_MAX_BUSTER_LENGTH = 2

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_BOOLEANS = {"true": True, "false": False}


_EMPTY = '""'
"""How the standard asks for what has no value (PS3.4 section C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One attribute to match. It is never blank, unless it asks for what has no value."""

    key: str
    """The attribute as the client named it."""

    tag: str
    """Eight upper-case hexadecimal digits; of an attribute in a sequence, those of both with a dot."""

    raw: tuple[str, ...]
    """The values as sent, one for each time the attribute was named, still percent-encoded."""

    is_empty: bool = False
    """Whether it asks for what has no value."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The values decoded: however a client encodes them, these stay the same."""
        return tuple(map(_decode, self.raw))

    def text(self) -> str:
        """Give the value of an attribute that can be asked for only once.

        Raises:
            BadRequest: It was named more than once.
        """
        if len(self.raw) > 1:
            raise BadRequest(f"Invalid query: AttributeId {self.key} is given more than once.")
        return _decode(self.raw[0])

    def moment(self) -> str:
        """Give the value of a DT attribute, or of a time zone, where a plus sign is one and not a blank.

        Raises:
            BadRequest: It was named more than once.
        """
        return self.text().strip().replace(" ", "+")

    def items(self) -> tuple[str, ...]:
        r"""Give the values of a UI or CS attribute: repeated, or listed with `,` (Weasis) or `\` (OHIF).

        Raises:
            BadRequest: There are only separators.
        """
        pieces = (piece.strip() for text in self.texts for piece in re.split(r"[,\\]", text))
        items = tuple(dict.fromkeys(piece for piece in pieces if piece))
        if not items:
            raise BadRequest(f"Invalid query: AttributeId {self.key} has no value.")
        return items


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a client searches for."""

    filters: tuple[Filter, ...] = ()
    """One for each attribute, in the order first named."""

    include_fields: tuple[str, ...] = ()
    """Tags of further attributes to return; none of them matters when `include_all` is set."""

    include_all: bool = False
    limit: int = DEFAULT_LIMIT
    """The most matches to return, 0 to `MAX_LIMIT`; 0 is answered like no match."""

    is_cut: bool = True
    """Whether that limit is ours: the client named none, or a higher one."""

    offset: int = 0
    """How many matches to skip."""

    fuzzy: bool = False
    """Whether person names match by words."""

    several: bool = False
    """Whether each of several values of one attribute must be there, not just one of them."""

    cursor: str = ""
    """Where a page before this one ended, as its `next` link told; not checked yet."""

    warnings: tuple[str, ...] = ()
    """What of the request was not followed, for a Warning header each."""


def refuse_markup(query: str) -> None:
    """Refuse a raw query string with a `<` in it, encoded or not, before anything else is looked at.

    Raises:
        BadRequest: There is one.

    Source: API rules section 1.8.
    """
    if "<" in query or "%3c" in query.lower():
        raise BadRequest("The query string must not contain the character '<'.")


def parse_search(query: str, find_tag: FindTag) -> SearchRequest:
    """Read the raw query string of a search.

    Raises:
        BadRequest: A parameter is unknown, has no value or an impossible one.

    Source: API rules sections 8.2 and 8.6.
    """
    refuse_markup(query)
    controls: dict[str, list[str]] = {name: [] for name in _CONTROLS}
    filters: dict[str, Filter] = {}
    warnings: list[str] = []
    for name, raw in _split(query):
        if name.lower() in controls:
            controls[name.lower()].append(_decode(raw))
        elif name in _ODD_KEYS:
            warnings.append(f"The parameter '{name}' is not an attribute and was ignored.")
        elif len(name) > _MAX_BUSTER_LENGTH and name.lower() not in _ELSEWHERE:
            _add_filter(filters, name, raw, find_tag)
    fields, include_all = _read_fields(controls["includefield"], find_tag)
    limit = _read_whole("Limit", controls["limit"], DEFAULT_LIMIT, MAX_LIMIT)
    offset = _read_whole("Offset", controls["offset"], 0, MAX_OFFSET)
    if offset > MAX_OFFSET:
        raise _impossible("Offset", MAX_OFFSET)
    fuzzy = _read_boolean("FuzzyMatching", controls["fuzzymatching"])
    empty = _read_boolean("EmptyValueMatching", controls["emptyvaluematching"])
    return SearchRequest(
        filters=tuple(_check_blank(each, empty=empty) for each in filters.values()),
        include_fields=fields,
        include_all=include_all,
        limit=min(limit, MAX_LIMIT),
        is_cut=not controls["limit"] or limit > MAX_LIMIT,
        offset=offset,
        fuzzy=fuzzy,
        several=_read_boolean("MultipleValueMatching", controls["multiplevaluematching"]),
        cursor=_read_cursor(controls["cursor"]),
        warnings=(*dict.fromkeys(warnings), *_lowered(limit)),
    )


def read_parameters(query: str) -> dict[str, list[str]]:
    """Give the decoded values of a raw query string by the names of its parameters, in lower case."""
    found: dict[str, list[str]] = {}
    for name, raw in _split(query):
        found.setdefault(name.lower(), []).append(_decode(raw))
    return found


def _split(query: str) -> Iterable[tuple[str, str]]:
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        yield _decode(name), raw


def _decode(raw: str) -> str:
    """Decode a name or value; a plus sign is a blank, as Weasis and Python's requests mean it."""
    # A server hands on bytes that the client did not encode as the characters of Latin-1.
    encoding = "latin-1" if raw.isascii() or max(raw) <= "\xff" else "utf-8"
    try:
        return unquote_to_bytes(raw.replace("+", " ").encode(encoding)).decode()
    except UnicodeDecodeError:
        raise BadRequest("The query string must be encoded as UTF-8.") from None


def _add_filter(filters: dict[str, Filter], name: str, raw: str, find_tag: FindTag) -> None:
    tag = _find_path(name, find_tag)
    if tag is None:
        raise not_queryable(name)
    known = filters.get(tag)
    filters[tag] = Filter(known.key, tag, (*known.raw, raw)) if known else Filter(name, tag, (raw,))


def _check_blank(item: Filter, *, empty: bool) -> Filter:
    """Refuse a key without a value, unless that is what is asked for."""
    texts = [text.strip(" \t\r\n\0") for text in item.texts]
    if empty and len(texts) == 1 and texts[0] in ("", _EMPTY):
        return replace(item, is_empty=True)
    if "" in texts:
        raise BadRequest(f"Invalid query: AttributeId {item.key} has no value.")
    return item


def not_queryable(key: str) -> BadRequest:
    """Make the refusal of an attribute that is unknown, or cannot be searched by at this resource.

    Azure's own tests compare the text, with its two blanks.

    Source: API rules section 23, L-06.
    """
    return BadRequest(
        f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, "
        "check the casing as they are case-sensitive. The conformance statement has a list of supported "
        "query parameters, attributes and the levels."
    )


def _find_path(name: str, find_tag: FindTag) -> str | None:
    """Resolve an attribute, or one in a sequence by the names of both with a dot between."""
    tags = [_find(part, find_tag) for part in name.split(".")]
    return None if None in tags else ".".join(filter(None, tags))


def _find(name: str, find_tag: FindTag) -> str | None:
    """Resolve an attribute named by keyword or by eight digits; nobody sends other punctuation."""
    return find_tag(name) if _TAG.fullmatch(name) or _KEYWORD.fullmatch(name) else None


def _read_fields(values: Iterable[str], find_tag: FindTag) -> tuple[tuple[str, ...], bool]:
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    if any(name.lower() == "all" for name in names):
        return (), True
    tags: dict[str, None] = {}
    for name in names:
        # Any tag may be asked for, a private one too; only a keyword has to be known.
        tag = name.upper() if _TAG.fullmatch(name) else _find(name, find_tag)
        if tag is None:
            raise BadRequest(f"Invalid query: includefield names an unknown attribute {name}.")
        tags[tag] = None
    return tuple(tags), False


def _read_whole(name: str, values: list[str], default: int, most: int) -> int:
    """Read a number from 0 up; what is beyond `most` by far may come out smaller than it is, but beyond."""
    if not values:
        return default
    digits = values[0].strip()
    if len(set(values)) > 1 or not (digits.isascii() and digits.isdigit()):
        raise _impossible(name, most)
    return int(digits.lstrip("0")[:11] or "0")


def _impossible(name: str, most: int) -> BadRequest:
    # The wording of L-07 (API rules section 23), with our own bounds.
    return BadRequest(
        f"The query parameter '{name}' is invalid. The field {name} must be between 0 and {most}."
    )


def _read_boolean(name: str, values: list[str]) -> bool:
    if not values:
        return False
    known = {_BOOLEANS.get(value.strip().lower()) for value in values}
    if len(known) > 1 or None in known:
        raise BadRequest(f"The query parameter '{name}' is invalid. The field {name} must be true or false.")
    return True in known


def _read_cursor(values: list[str]) -> str:
    if len(set(values)) > 1:
        raise BadRequest("The query parameter 'Cursor' is invalid. It must be given once.")
    return values[0].strip() if values else ""


def _lowered(limit: int) -> Iterable[str]:
    if limit > MAX_LIMIT:
        yield f"The limit was lowered to {MAX_LIMIT}."
