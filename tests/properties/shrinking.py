"""Makes a story that fails small, within a time: what is left out must leave it failing.

Hypothesis would take longer than a test may, as each try is a new archive in a real service.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from tests.properties.stories import Store, Story

SECONDS: Final = 60

T = TypeVar("T")


def smallest(story: Story, fails: Callable[[Story], bool]) -> Story:
    """Leave out events, files, queries, keys and values, one after the other, while it fails."""
    deadline = time.monotonic() + SECONDS
    smaller: Story | None = story
    while smaller is not None and time.monotonic() < deadline:
        story = smaller
        tries = (each for each in _smaller(story) if time.monotonic() < deadline)
        smaller = next((each for each in tries if fails(each)), None)
    return story


def _smaller(story: Story) -> Iterator[Story]:
    for asked in story.asked if len(story.asked) > 1 else ():
        yield replace(story, asked=(asked,))
    for events in _without_one(story.events):
        if events and isinstance(events[0], Store):
            yield replace(story, events=events)
    for place, event in enumerate(story.events):
        for changed in _smaller_stores(event) if isinstance(event, Store) else ():
            yield replace(story, events=(*story.events[:place], changed, *story.events[place + 1 :]))
    for asked in story.asked:
        for keys in _without_one(asked.query.keys):
            yield replace(story, asked=(replace(asked, query=replace(asked.query, keys=keys)),))


def _smaller_stores(event: Store) -> Iterator[Store]:
    for files in _without_one(event.files):
        if files:
            yield replace(event, files=files)
    for place, file in enumerate(event.files):
        for texts in _without_one(file.texts):
            changed = replace(file, texts=texts)
            # No instance is stored without these.
            if {"PatientID", "SOPClassUID"} <= dict(texts).keys():
                yield replace(event, files=(*event.files[:place], changed, *event.files[place + 1 :]))


def _without_one(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    for place in range(len(items)):
        yield (*items[:place], *items[place + 1 :])
