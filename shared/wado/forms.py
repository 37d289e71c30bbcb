"""The forms in which a study, series or instance is answered: files, an archive of them, their bulk data."""

from dataclasses import replace

from shared.errors import NotAcceptable
from shared.storage.keys import Scope
from shared.storage.storage import Storage
from shared.wado.bulk.all import retrieve_all_bulk
from shared.wado.content import Asked
from shared.wado.converted.workers import Workers
from shared.wado.retrieve import retrieve
from shared.wado.zipped import retrieve_zip
from shared.web.answer import Answer
from shared.web.offers import OCTETS, ZIP


async def retrieve_in_form(storage: Storage, workers: Workers, *, scope: Scope, asked: Asked) -> Answer:
    """Answer with everything in a scope, in the first form asked for that works out.

    Raises:
        NotFound: There is nothing in the scope.
        NotAcceptable: In none of them.
        Unavailable: The bytes of an instance are not where they should be.
    """
    refusal = NotAcceptable("Nothing in the Accept header can be given.")
    for name in dict.fromkeys(choice.media_type for choice in asked.choices):
        choices = [choice for choice in asked.choices if choice.media_type == name]
        try:
            if name == ZIP:
                return await retrieve_zip(storage, scope)
            if name == OCTETS:
                return await retrieve_all_bulk(storage, scope, choices, asked.links)
            return await retrieve(storage, workers, scope=scope, asked=replace(asked, choices=choices))
        except NotAcceptable as error:
            refusal = error
    raise refusal
