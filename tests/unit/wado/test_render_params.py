"""Parameters of pictures: PS3.18 sections 8.3.5 and 9.4.1.2."""

import pytest

from shared.dicom.codecs import Profile, RenderOptions, Viewport, Window
from shared.errors import BadRequest, NotAcceptable
from shared.wado.rendered.parameters import (
    ANNOTATIONS_LEFT_OUT,
    PLAIN,
    THUMBNAIL,
    parse_rendered,
    parse_uri_frame,
    parse_uri_rendered,
)

QUERIES = [
    ("", PLAIN),
    ("quality=&window=&viewport=&iccprofile=", PLAIN),
    ("_=123&t&=x&code=secret&accept=image/png&Unknown=1", PLAIN),
    ("quality=1", RenderOptions(quality=1)),
    ("QUALITY=100", RenderOptions(quality=100)),
    ("quality=7&quality=7", RenderOptions(quality=7)),
    ("window=40,400", RenderOptions(window=Window(40, 400))),
    ("window=40,400,", RenderOptions(window=Window(40, 400))),
    ("window=-1.5e2,%201,Linear", RenderOptions(window=Window(-150, 1))),
    ("window=+.5,0.25,linear_exact", RenderOptions(window=Window(0.5, 0.25, "LINEAR_EXACT"))),
    ("window=0,1.,SIGMOID", RenderOptions(window=Window(0, 1, "SIGMOID"))),
    ("viewport=256%2C128", RenderOptions(viewport=Viewport(256, 128))),
    ("viewport=9,8,,,,", RenderOptions(viewport=Viewport(9, 8))),
    ("viewport=9,8,1.5,2,-3,-4.5", RenderOptions(viewport=Viewport(9, 8, 1.5, 2, -3, -4.5))),
    ("viewport=9,8,,2,3,", RenderOptions(viewport=Viewport(9, 8, 0, 2, 3))),
    ("iccprofile=yes", RenderOptions(profile=Profile.YES)),
    ("iccprofile=sRGB", RenderOptions(profile=Profile.SRGB)),
    ("IccProfile=NO", PLAIN),
]


@pytest.mark.parametrize(("query", "options"), QUERIES)
def test_queries_are_read(query: str, options: RenderOptions) -> None:
    """Names in any case; unknown ones and those without a value are passed over."""
    wish = parse_rendered(query)

    assert wish.options == options
    assert wish.warnings == ()


WRONG = [
    ("quality=0", "1 to 100"),
    ("quality=+5", "1 to 100"),
    ("quality=%D9%A5", "1 to 100"),  # A digit, but of no alphabet that is meant.
    ("quality=1&quality=2", "more than once"),
    ("window=1", "numbers"),
    ("window=1,2,3", "linear-exact"),
    ("window=1,2,linear,x", "linear-exact"),
    ("window=1,0.5", "at least 1 wide"),
    ("window=1,0,sigmoid", "at least 1 wide"),
    ("window=1,-2,linear-exact", "at least 1 wide"),
    ("window=1e999,2", "numbers"),
    ("window=nan,2", "numbers"),
    ("window=1_0,2", "numbers"),
    ("viewport=5", "vw,vh"),
    ("viewport=5,5,5", "vw,vh"),
    ("viewport=,5", "whole number"),
    ("viewport=0,5", "whole number"),
    ("viewport=5,5,0,0,0,1", "not 0"),
    ("viewport=5,5,0,-1,1,1", "begins within"),
    ("viewport=5,5,x,0,1,1", "numbers"),
    ("iccprofile=adobergb", "no, yes, srgb"),
]


@pytest.mark.parametrize(("query", "reason"), WRONG)
def test_impossible_values_are_refused_with_what_would_be_right(query: str, reason: str) -> None:
    """PS3.18 section 8.3."""
    with pytest.raises(BadRequest, match=reason):
        parse_rendered(query)


def test_annotations_are_warned_of() -> None:
    """They are not burned in."""
    assert parse_rendered("annotation=patient").warnings == (ANNOTATIONS_LEFT_OUT,)
    assert parse_uri_rendered({"annotation": "technique"}).warnings == (ANNOTATIONS_LEFT_OUT,)


def test_thumbnails_have_defaults_of_their_own() -> None:
    """What the query says goes before them."""
    assert parse_rendered("", THUMBNAIL).options == THUMBNAIL
    asked = parse_rendered("viewport=9,9&quality=3", THUMBNAIL).options
    assert asked == RenderOptions(quality=3, viewport=Viewport(9, 9))


URI = [
    ({}, PLAIN),
    ({"rows": "5"}, RenderOptions(viewport=Viewport(None, 5))),
    ({"columns": "5"}, RenderOptions(viewport=Viewport(5, None))),
    ({"rows": "5", "columns": "6"}, RenderOptions(viewport=Viewport(6, 5))),
    (
        {"region": "0.25,0,1.0,0.5"},
        RenderOptions(viewport=Viewport(None, None, 0.25, 0, 0.75, 0.5, relative=True)),
    ),
    ({"windowcenter": "-5", "windowwidth": "1"}, RenderOptions(window=Window(-5, 1))),
    ({"imagequality": "9"}, RenderOptions(quality=9)),
    ({"presentationuid": "", "charset": "utf-8"}, PLAIN),
]


@pytest.mark.parametrize(("found", "options"), URI)
def test_wado_uri_has_names_of_its_own(found: dict[str, str], options: RenderOptions) -> None:
    """PS3.18 section 9.4.1.2."""
    assert parse_uri_rendered(found).options == options


@pytest.mark.parametrize(
    "found",
    [
        {"rows": "0"},
        {"columns": "1.5"},
        {"region": "0,0,1"},
        {"region": "0,0,0,1"},
        {"region": "0,0,1.1,1"},
        {"region": "-0.1,0,1,1"},
        {"windowcenter": "1"},
        {"windowwidth": "1"},
        {"windowcenter": "1", "windowwidth": "0"},
        {"imagequality": "101"},
    ],
)
def test_wado_uri_refuses_impossible_values(found: dict[str, str]) -> None:
    """PS3.18 section 9.4.1.2."""
    with pytest.raises(BadRequest):
        parse_uri_rendered(found)


def test_wado_uri_names_a_frame_or_none() -> None:
    """From 1 up."""
    assert parse_uri_frame({}) is None
    assert parse_uri_frame({"framenumber": "12"}) == 12
    for wrong in ("0", "-1", "x", "1,2"):
        with pytest.raises(BadRequest):
            parse_uri_frame({"framenumber": wrong})


@pytest.mark.parametrize("name", ["presentationuid", "presentationseriesuid"])
def test_presentation_states_are_not_passed_over(name: str) -> None:
    """The picture would not be what its reader takes it for."""
    with pytest.raises(NotAcceptable):
        parse_uri_rendered({name: "1.2.3"})
