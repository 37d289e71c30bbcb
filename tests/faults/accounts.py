"""One account of the emulator, and how to reach it, past the proxy or through it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.storage.connection import EMULATOR_KEY, SERVICES, Connection, resolve
from tests.faults.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account that one test has for itself."""

    name: str
    ports: tuple[int, int, int]
    """Of blob, queue and table."""

    @property
    def text(self) -> str:
        """The connection string."""
        return self._text(self.ports)

    @property
    def connection(self) -> Connection:
        """The same as a value."""
        return resolve("STORAGE", {"STORAGE": self.text})

    def through(self, proxy: Proxy) -> str:
        """The connection string that leads through a running proxy."""
        return self._text([proxy.ports["blob"], proxy.ports["queue"], proxy.ports["table"]])

    def _text(self, ports: Sequence[int]) -> str:
        places = "".join(
            f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{self.name};"
            for service, port in zip(SERVICES, ports, strict=True)
        )
        return f"DefaultEndpointsProtocol=http;AccountName={self.name};AccountKey={EMULATOR_KEY};{places}"
