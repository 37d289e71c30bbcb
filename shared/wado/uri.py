"""WADO-URI: one instance, named in the query (PS3.18 chapter 9).

Parameters come encoded or not, as `contentType=application/dicom&transferSyntax=*`. Names are taken in any
case, and those not known are passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from shared.dicom.uid import parse_uid
from shared.errors import BadRequest, NotAcceptable
from shared.storage.keys import Scope
from shared.storage.storage import Storage
from shared.wado.content import Asked
from shared.wado.converted.workers import Workers
from shared.wado.rendered.one import RenderAsked, retrieve_rendered
from shared.wado.rendered.parameters import parse_uri_frame, parse_uri_rendered
from shared.wado.retrieve import retrieve
from shared.web.accept import ANY_SYNTAX, Choice, Form, MediaRange, choose, parse_accept
from shared.web.answer import Answer
from shared.web.offers import FILE, URI_OFFERS
from shared.web.warnings import render_warning


@dataclass(frozen=True, slots=True)
class UriRequest:
    """An instance, and how it is wanted."""

    study: str
    series: str
    instance: str
    media_types: tuple[str, ...]
    """What it may come as, best first; where the query does not say, what the Accept header says."""

    choices: tuple[Choice, ...]
    """How the file may come, best first; none where it is to be rendered."""

    parameters: Mapping[str, str]
    """All parameters, names in lower case: what is to be rendered has more of them."""


def is_uri_request(query: str) -> bool:
    """Whether a query is one of WADO-URI."""
    return _parameters(query).get("requesttype", "").upper() == "WADO"


def parse_uri_request(query: str, accept: Sequence[MediaRange]) -> UriRequest:
    """Read a request.

    Raises:
        BadRequest: A parameter that it must have is missing or wrong.
        NotAcceptable: It asks for what is not done, and what may not be passed over.
    """
    found = _parameters(query)
    if found.get("requesttype", "").upper() != "WADO":
        raise BadRequest("The parameter requestType must be WADO.")
    if found.get("anonymize", "").lower() == "yes":
        raise NotAcceptable(
            "Nothing is anonymized here; leave the parameter out to get the instance as it is."
        )
    study, series, instance = (_uid(found, name) for name in ("studyUID", "seriesUID", "objectUID"))
    named = parse_accept(found.get("contenttype"))
    types = tuple(entry.media for entry in named or accept if entry.quality)
    # It is not meant to stand beside the type (PS3.18 section 8.7.4), yet it is plain what it means.
    beside = [*(syntax for entry in named for syntax in entry.transfer_syntaxes), ""]
    syntax = found.get("transfersyntax") or beside[0]
    if syntax not in ("", ANY_SYNTAX):
        syntax = parse_uid(syntax)
    # Where everything is left open, an image is wanted (PS3.18 section 9.3).
    choices = _file_choices(syntax) if FILE in types[:1] else ()
    return UriRequest(study, series, instance, types, choices, found)


async def retrieve_by_uri(
    storage: Storage, workers: Workers, *, scope: Scope, wanted: UriRequest, asked: Asked
) -> Answer:
    """Answer with the instance, as a file or rendered.

    Args:
        storage: The storage account.
        workers: Where pixels are converted.
        scope: The instance that `wanted` names.
        wanted: What the query says.
        asked: What the client says beside; its choices are those of `wanted`.

    Raises:
        NotFound: There is no such instance.
        NotAcceptable: It cannot be given as wanted.
    """
    if not wanted.choices:
        return await _render(storage, workers, scope, wanted, asked)
    answer = await retrieve(storage, workers, scope=scope, asked=asked)
    # The media type has no transfer-syntax here (PS3.18 section 8.7.3.5.2); the file names its own.
    told = {"Content-Type": FILE} if "Content-Type" in answer.headers else {}
    return replace(answer, headers={**answer.headers, **told})


async def _render(
    storage: Storage, workers: Workers, scope: Scope, wanted: UriRequest, asked: Asked
) -> Answer:
    """Answer with a picture, or with what an instance that is none holds (PS3.18 section 9.4.1.2)."""
    wish = parse_uri_rendered(wanted.parameters)
    number = parse_uri_frame(wanted.parameters)
    # Of types without weights the first is the best.
    accept = [MediaRange(name, None) for name in wanted.media_types]
    rendering = RenderAsked(wish.options, accept, asked.links, asked.conditions)
    numbers = () if number is None else (number,)
    answer = await retrieve_rendered(storage, workers, scope=scope, numbers=numbers, asked=rendering)
    warned = {"Warning": render_warning(None, " ".join(wish.warnings))} if wish.warnings else {}
    return replace(answer, headers={**answer.headers, **warned})


def _file_choices(syntax: str) -> tuple[Choice, ...]:
    return choose(URI_OFFERS, [MediaRange(FILE, Form.SINGLE, (syntax,) if syntax else ())])


def _parameters(query: str) -> dict[str, str]:
    """The parameters of a raw query string, names in lower case; of several by one name the first."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        found.setdefault(unquote(name).lower(), unquote(value).strip())
    return found


def _uid(found: Mapping[str, str], name: str) -> str:
    text = found.get(name.lower(), "")
    if not text:
        raise BadRequest(f"The parameter {name} is missing.")
    return parse_uid(text)
