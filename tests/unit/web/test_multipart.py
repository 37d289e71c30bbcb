"""Multipart bodies: fed whole, byte by byte, cut anywhere and cut short; written one way only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest, TooLarge, UnsupportedMediaType
from shared.web.multipart import (
    MAX_PART_HEADER_BYTES,
    MAX_PARTS,
    MAX_PREAMBLE_BYTES,
    Multipart,
    MultipartReader,
    PartBegin,
    PartBytes,
    PartEnd,
    PartKind,
    Single,
    boundary_for,
    closing,
    kind_of_part,
    multipart_type,
    part_head,
    part_type,
    read_store_content_type,
    require_dicom,
    total_length,
)

Parts = list[tuple[dict[str, str], bytes]]

FILE = bytes(128) + b"DICM\x02\x00\x00\x00UL"
OTHER = b"\x00\r\n--almost\r\n-\r\r\n\n"
DICOM_HEADERS = {"content-type": "application/dicom"}


def read(boundary: str, chunks: Iterable[bytes]) -> Parts:
    """Read a body to its parts, and check the order of the events on the way."""
    reader = MultipartReader(boundary)
    parts: Parts = []
    inside = False
    for chunk in chunks:
        for event in reader.feed(chunk):
            match event:
                case PartBegin(headers):
                    assert not inside
                    inside = True
                    parts.append((dict(headers), b""))
                case PartBytes(data):
                    assert inside
                    assert len(data) > 0
                    parts[-1] = (parts[-1][0], parts[-1][1] + bytes(data))
                case PartEnd():
                    assert inside
                    inside = False
    reader.finish()
    assert not inside
    return parts


def singly(body: bytes) -> list[bytes]:
    return [body[index : index + 1] for index in range(len(body))]


@dataclass(frozen=True, slots=True)
class Sent:
    """A store request as a client sends it, and what is in it."""

    content_type: str
    body: bytes
    parts: Parts


DICOM_PART = b"Content-Type: application/dicom\r\n\r\n"
GUID = "e9d7a1b2-0c4f-4d8f-9a51-3c3f1f6f1c11"
PYTHON_BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
ORTHANC = "d7d2c0a4-2f0b-4a8c-bb5b-6f2d0f3a4d61-5bb1a7c1-9f26-4f0a-8d1f-7c0b6b1f2e90"
CURL = "------------------------6f1c0e5b3a2d4c7e"

# Matrix 1.2 of the clients document, row by row.
CLIENTS = {
    "OHIF": Sent(
        f'multipart/related; type="application/dicom"; boundary="{GUID}"',
        b"\r\n--%b\r\n" % GUID.encode() + DICOM_PART + FILE + b"\r\n--%b--" % GUID.encode(),
        [(DICOM_HEADERS, FILE)],
    ),
    "Python dicomweb-client": Sent(
        f'multipart/related; type="application/dicom"; boundary="{PYTHON_BOUNDARY}"',
        b"".join(b"\r\n--%b\r\n" % PYTHON_BOUNDARY.encode() + DICOM_PART + file for file in (FILE, OTHER))
        + b"\r\n--%b--" % PYTHON_BOUNDARY.encode(),
        [(DICOM_HEADERS, FILE), (DICOM_HEADERS, OTHER)],
    ),
    "Weasis": Sent(
        'multipart/related;type="application/dicom";boundary=mimeBoundary',
        b"\r\n--mimeBoundary\r\n" + DICOM_PART + FILE + b"\r\n--mimeBoundary--\r\n",
        [(DICOM_HEADERS, FILE)],
    ),
    "dcm4che stowrs": Sent(
        'multipart/related; type="application/dicom"; boundary=myboundary',
        b"\r\n--myboundary\r\nContent-Type: application/dicom \r\n\r\n" + FILE + b"\r\n--myboundary--\r\n",
        [(DICOM_HEADERS, FILE)],
    ),
    "Microsoft Python tutorial": Sent(
        f"multipart/related; boundary={GUID}",
        b"--%b\r\n" % GUID.encode()
        + b'Content-Disposition: form-data; name="files"; filename="a.dcm"\r\n'
        + DICOM_PART
        + FILE
        + b"\r\n--%b--\r\n" % GUID.encode(),
        [({"content-disposition": 'form-data; name="files"; filename="a.dcm"', **DICOM_HEADERS}, FILE)],
    ),
    "curl recipe": Sent(
        f'multipart/related; type="application/dicom"; boundary={CURL}',
        b"--%b\r\n" % CURL.encode()
        + b'Content-Disposition: form-data; name="file1"; filename="a;b.dcm"\r\n'
        + DICOM_PART
        + FILE
        + b"\r\n--%b--\r\n" % CURL.encode(),
        [({"content-disposition": 'form-data; name="file1"; filename="a;b.dcm"', **DICOM_HEADERS}, FILE)],
    ),
    "MONAI Deploy": Sent(
        f'multipart/related; boundary="{GUID}"; type="application/dicom"',
        b"--%b\r\n" % GUID.encode() + DICOM_PART + FILE + b"\r\n--%b--\r\n" % GUID.encode(),
        [(DICOM_HEADERS, FILE)],
    ),
    "Orthanc": Sent(
        f"multipart/related; type=application/dicom; boundary={ORTHANC}",
        b"--%b\r\n" % ORTHANC.encode()
        + b"Content-Type: application/dicom\r\nContent-Length: %d\r\n\r\n" % len(FILE)
        + FILE
        + b"\r\n--%b--\r\n" % ORTHANC.encode(),
        [({**DICOM_HEADERS, "content-length": str(len(FILE))}, FILE)],
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_what_each_client_stores_is_understood(client: str) -> None:
    """Clients matrix 1.2; the ninth, Google's dcmweb, sends one file without multipart."""
    sent = CLIENTS[client]

    envelope = read_store_content_type(sent.content_type)

    assert isinstance(envelope, Multipart)
    whole = read(envelope.boundary, [sent.body])
    assert whole == sent.parts
    assert read(envelope.boundary, singly(sent.body)) == sent.parts
    for headers, _ in whole:
        require_dicom(headers, envelope)


@pytest.mark.parametrize(
    "text", ["application/dicom", 'Application/DICOM; transfer-syntax="1.2"', "application/dicom;"]
)
def test_a_body_may_be_one_file(text: str) -> None:
    """Google's dcmweb sends one; parameters are ignored (API rules 3.1)."""
    assert read_store_content_type(text) == Single()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        "application/octet-stream",
        "application/dicom+json",
        "multipart/form-data; boundary=b",
        "multipart/form; boundary=b",
        "multipart/mixed; boundary=b",
        'multipart/related; type="application/dicom"',
        'multipart/related; type="application/dicom"; boundary=""',
        'multipart/related; type="application/dicom+json"',
        'multipart/related; type="image/jpeg"; boundary=b',
        "multipart/related; type=; boundary=b",
    ],
)
def test_other_bodies_are_of_an_unsupported_type(text: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_store_content_type(text)


@pytest.mark.parametrize(
    "text",
    [
        'multipart/related; type="application/dicom"; boundary=b; start="<1>"',
        f"multipart/related; boundary={'b' * 257}",
        "multipart/related; boundary=bö",
    ],
)
def test_a_multipart_that_cannot_be_taken_apart_is_malformed(text: str) -> None:
    with pytest.raises(BadRequest):
        read_store_content_type(text)


@pytest.mark.parametrize(
    ("content_type", "boundary", "kind"),
    [
        ("multipart/related; boundary=b", "b", None),
        ('multipart/related; boundary="a b"; type=application/dicom', "a b", "application/dicom"),
        (f"multipart/related; boundary={'x' * 70}", "x" * 70, None),
    ],
)
def test_the_envelope_tells_boundary_and_type(content_type: str, boundary: str, kind: str | None) -> None:
    assert read_store_content_type(content_type) == Multipart(boundary, kind)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"content-type": "application/dicom"}, None),
        ({"content-type": "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}, "application/dicom"),
        ({"content-type": "APPLICATION/DICOM"}, None),
        ({}, "application/dicom"),
        ({"content-disposition": "form-data"}, "application/dicom"),
    ],
)
def test_a_part_is_dicom_by_its_own_header_or_by_the_envelope(
    headers: dict[str, str], kind: str | None
) -> None:
    require_dicom(headers, Multipart("b", kind))


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, None),
        ({"content-type": "application/octet-stream"}, "application/dicom"),
        ({"content-type": "application/dicom+json"}, "application/dicom"),
        ({"content-type": "text"}, "application/dicom"),
    ],
)
def test_a_part_that_is_not_dicom_fails_the_whole_request(headers: dict[str, str], kind: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_dicom(headers, Multipart("b", kind))


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("application/dicom+json", PartKind.JSON),
        ("Application/JSON", PartKind.JSON),
        ("application/dicom+xml; charset=utf-8", PartKind.XML),
    ],
)
def test_metadata_may_come_apart_from_bulk_data(kind: str, first: PartKind) -> None:
    """PS3.18 section 10.5.1; dcm4che calls its metadata plain JSON."""
    form = read_store_content_type(f'multipart/related; type="{kind}"; boundary=b')

    assert isinstance(form, Multipart)
    assert form.kind is first
    assert kind_of_part({"content-type": f"{kind} "}, form) is first
    assert kind_of_part({}, form) is first
    assert kind_of_part({"content-type": "image/jpeg; transfer-syntax=1.2"}, form) is PartKind.BULK
    assert kind_of_part({"content-location": "bulk0"}, form) is PartKind.BULK


@pytest.mark.parametrize("content_type", ["application/dicom", "application/dicom+xml", "nonsense", ""])
def test_a_part_of_another_kind_than_the_metadata_refuses_the_request(content_type: str) -> None:
    form = Multipart("b", "application/dicom+json", PartKind.JSON)

    with pytest.raises(UnsupportedMediaType):
        kind_of_part({"content-type": content_type}, form)


# Boundary `b`; what each must give.
BODIES: dict[str, tuple[bytes, Parts]] = {
    "preamble and epilogue": (
        b"hello\r\nworld\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n",
        [({"a": "1"}, b"x")],
    ),
    "preamble of LF lines": (b"hello\n--b\r\nA: 1\r\n\r\nx\r\n--b--", [({"a": "1"}, b"x")]),
    "leading CRLF": (b"\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--", [({"a": "1"}, b"x")]),
    "blanks after delimiters": (
        b"--b \t\r\nA: 1\r\n\r\nx\r\n--b  \r\n\r\ny\r\n--b-- ",
        [({"a": "1"}, b"x"), ({}, b"y")],
    ),
    "LF in header lines": (b"--b\r\nA: 1\nB: 2\n\nx\n--b\r\n--b--", [({"a": "1", "b": "2"}, b"x\n--b")]),
    "LF everywhere": (
        b"--b\nA: 1\n\nx\n\n--b\nB:2\n\ny\n--b--\n",
        [({"a": "1"}, b"x\n"), ({"b": "2"}, b"y")],
    ),
    "no parts": (b"--b--", []),
    "no parts, leading CRLF": (b"\r\n--b--\r\n", []),
    ".NET's empty content": (b"--b\r\n\r\n--b--\r\n", []),
    "nothing between delimiters": (b"--b\r\n--b\r\n--b--", []),
    "no headers": (b"--b\r\n\r\nx\r\n--b--", [({}, b"x")]),
    "no headers, no payload": (b"--b\r\n\r\n\r\n--b--", []),
    "empty part": (b"--b\r\nA: 1\r\n\r\n\r\n--b--", [({"a": "1"}, b"")]),
    "empty part with one blank line": (b"--b\r\nA: 1\r\n\r\n--b--", [({"a": "1"}, b"")]),
    "empty last part": (
        b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\nA: 2\r\n\r\n\r\n--b--",
        [({"a": "1"}, b"x"), ({"a": "2"}, b"")],
    ),
    "folded header": (b"--b\r\nA: 1;\r\n  c=d\r\n\r\nx\r\n--b--", [({"a": "1; c=d"}, b"x")]),
    "doubled header": (b"--b\r\nA: 1\r\nA: 2\r\n\r\nx\r\n--b--", [({"a": "1"}, b"x")]),
    "latin-1 header": (b"--b\r\nA: \xe4\x85\r\n\r\nx\r\n--b--", [({"a": "\xe4"}, b"x")]),
    "boundary text in a line": (b"--b\r\n\r\nx--b--\r\n--b--", [({}, b"x--b--")]),
    "boundary text after LF": (b"--b\r\n\r\nx\n--b\r\ny\r\n--b--", [({}, b"x\n--b\r\ny")]),
    "boundary text after CR": (b"--b\r\n\r\nx\r--b\r\n--b--", [({}, b"x\r--b")]),
    "longer boundary in payload": (
        b"--b\r\n\r\n--bc\r\n--bd\r\n--b-\r\n--b--",
        [({}, b"--bc\r\n--bd\r\n--b-")],
    ),
    "payload starts like a delimiter": (b"--b\r\n\r\n--c\r\n--b--", [({}, b"--c")]),
    "payload of line ends": (b"--b\r\n\r\n\r\n\r\n\n\r\r\n--b--", [({}, b"\r\n\r\n\n\r")]),
    "payload ends in CR": (b"--b\r\n\r\nx\r\r\n--b--", [({}, b"x\r")]),
    "payload ends in LF": (b"--b\r\n\r\nx\n\r\n--b--", [({}, b"x\n")]),
    "payload ends in CRLF": (b"--b\r\n\r\nx\r\n\r\n--b--", [({}, b"x\r\n")]),
    "padding too long for a delimiter": (
        b"--b\r\n\r\nx\r\n--b" + b" " * 65 + b"\r\n--b--",
        [({}, b"x\r\n--b" + b" " * 65)],
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_gives_its_parts_however_it_is_cut(name: str) -> None:
    """Clients section 3.5, points 2 and 3."""
    body, parts = BODIES[name]

    assert read("b", [body]) == parts
    assert read("b", singly(body)) == parts
    for cut in range(len(body)):
        assert read("b", [body[:cut], body[cut:]]) == parts


@pytest.mark.parametrize("name", BODIES)
def test_a_body_cut_short_before_its_end_is_refused(name: str) -> None:
    body = BODIES[name][0]
    end = body.index(b"\n--b--") + 6 if b"\n--b--" in body else body.index(b"--b--") + 5
    if name == "no parts":
        end = len(body)

    for cut in range(end):
        reader = MultipartReader("b")
        reader.feed(body[:cut])
        with pytest.raises(BadRequest, match="closing delimiter"):
            reader.finish()


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\nno colon\r\n\r\nx\r\n--b--",
        b"--b\r\n: 1\r\n\r\nx\r\n--b--",
        b"--bx\r\n\r\nx\r\n--b--",
        b"--b\r\nA: " + b"x" * MAX_PART_HEADER_BYTES + b"\r\n\r\nx\r\n--b--",
        b"x" * MAX_PREAMBLE_BYTES + b"\r\n--b--",
        b"DICM" * MAX_PREAMBLE_BYTES,
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_malformed_framing_is_refused(body: bytes, whole: bool) -> None:
    with pytest.raises(BadRequest):
        read("b", [body] if whole else singly(body))


def test_an_empty_body_is_not_a_multipart() -> None:
    with pytest.raises(BadRequest):
        read("b", [])


@pytest.mark.parametrize("whole", [True, False])
def test_headers_may_be_as_long_as_the_limit(whole: bool) -> None:
    block = b"A: " + b"x" * (MAX_PART_HEADER_BYTES - 7) + b"\r\n\r\n"
    body = b"--b\r\n" + block + b"y\r\n--b--"

    assert len(block) == MAX_PART_HEADER_BYTES
    assert read("b", [body] if whole else singly(body))[0][1] == b"y"


@pytest.mark.parametrize("part", [b"\r\nA: 1\r\n\r\nx\r\n--b", b"\r\n--b"])
def test_parts_are_limited_in_number_empty_ones_too(part: bytes) -> None:
    within, beyond = (b"--b" + part * count + b"--" for count in (MAX_PARTS, MAX_PARTS + 1))

    read("b", [within])
    with pytest.raises(TooLarge):
        read("b", [beyond])


@pytest.mark.parametrize("chunk", [b"y" * 1000, b"y" * 1000 + b"\r.", b"y" * 1000 + b"\r\n--a"])
def test_payload_is_handed_on_at_once_without_copying(chunk: bytes) -> None:
    reader = MultipartReader("b")
    reader.feed(b"--b\r\n\r\n" + b"x" * 100)

    events = reader.feed(chunk)

    assert len(events) == 1
    assert isinstance(events[0], PartBytes)
    assert events[0].data is chunk


@st.composite
def cut_bodies(draw: st.DrawFn) -> tuple[str, Parts, list[bytes]]:
    """A body of payloads that look like delimiters, cut at random."""
    boundary = draw(st.sampled_from(["b", "--", "a-b", "x" * 70, "0123456789abcdef", "a b"]))
    scraps = st.sampled_from(
        [b"\r", b"\n", b"-", b"--", b"\r\n--", boundary.encode(), boundary[:-1].encode(), b"\x00", b" ", b"x"]
    )
    payloads = draw(st.lists(st.lists(scraps, max_size=12).map(b"".join), max_size=4))
    # Whatever would be a delimiter by right has no place in a payload.
    delimiter = b"\r\n--" + boundary.encode()
    payloads = [payload for payload in payloads if delimiter not in b"\r\n" + payload + b"\r\n--"]
    lead = draw(st.sampled_from([b"", b"\r\n", b"preamble\r\n"]))
    tail = draw(st.sampled_from([b"", b"\r\n", b"\r\nepilogue"]))
    body = lead + b"--" + boundary.encode()
    for payload in payloads:
        body += b"\r\n" + DICOM_PART + payload + delimiter
    body += b"--" + tail
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return boundary, [(DICOM_HEADERS, payload) for payload in payloads], chunks


@given(cut_bodies())
def test_random_cuts_change_nothing(case: tuple[str, Parts, list[bytes]]) -> None:
    boundary, parts, chunks = case

    assert read(boundary, chunks) == parts


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_end_in_parts_or_a_refusal_the_same_way_however_cut(
    noise: bytes, cuts: Sequence[int]
) -> None:
    body = b"--b\r\nA: 1\r\n\r\n" + noise
    ends = sorted({min(cut, len(body)) for cut in cuts})
    chunks = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]

    assert _outcome(chunks) == _outcome([body])


def _outcome(chunks: list[bytes]) -> Parts | str:
    try:
        return read("b", chunks)
    except BadRequest as refusal:
        return str(refusal)


def test_a_boundary_is_the_same_each_time_and_another_for_another_resource() -> None:
    boundary = boundary_for("/studies/1.2", "7-2", "*")

    assert boundary == boundary_for("/studies/1.2", "7-2", "*")
    assert (
        len({boundary, boundary_for("/studies/1.2", "8-2", "*"), boundary_for("/studies/1.27", "-2", "*")})
        == 3
    )
    assert len(boundary) == 32
    assert set(boundary) <= set("0123456789abcdef")


def test_a_multipart_answer_has_exactly_the_shape_clients_can_read() -> None:
    """Clients section 4.2: no preamble, Content-Type first and unquoted, CRLF after the end."""
    kind = part_type("application/dicom", "1.2.840.10008.1.2.1")

    body = (
        part_head("0a", kind, first=True)
        + b"one"
        + part_head("0a", kind, first=False)
        + b"two"
        + closing("0a")
    )

    assert body == (
        b"--0a\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\none\r\n"
        b"--0a\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\ntwo\r\n"
        b"--0a--\r\n"
    )
    assert (
        multipart_type("application/dicom", "0a")
        == 'multipart/related; type="application/dicom"; boundary=0a'
    )


def test_a_part_can_tell_its_place_and_length_after_its_type() -> None:
    head = part_head("0a", "image/jpeg", first=True, location="http://h/v2/studies/1", length=0)

    assert head == (
        b"--0a\r\nContent-Type: image/jpeg\r\nContent-Location: http://h/v2/studies/1\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_what_is_written_can_be_read_and_its_length_is_known_before(payloads: list[bytes]) -> None:
    boundary = boundary_for("resource")
    heads = [part_head(boundary, "application/dicom", first=not index) for index in range(len(payloads))]

    body = b"".join(head + payload for head, payload in zip(heads, payloads, strict=True)) + closing(boundary)

    plan = [(head, len(payload)) for head, payload in zip(heads, payloads, strict=True)]
    assert total_length(boundary, plan) == len(body)
    assert read(boundary, [body]) == [(DICOM_HEADERS, payload) for payload in payloads]
