"""Delete transactions: API rules section 9."""

from shared.errors import NotFound
from shared.storage import active
from shared.storage.keys import Scope
from shared.storage.removal import remove
from shared.storage.storage import Storage


async def delete(storage: Storage, scope: Scope) -> int:
    """Remove a study, a series or an instance from every view, at once.

    Returns:
        How many instances are gone.

    Raises:
        NotFound: Nothing was there.
        Unavailable: Storage did not answer; some of it may be gone.
    """
    await active.note(storage, scope.key)
    removed = await remove(storage, scope)
    if not removed:
        raise NotFound(f"The specified {scope.level} was not found.")
    return removed
