"""Elastic and secondary addresses: a forwarder each, on the service port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from anyio.from_thread import BlockingPortal

from lab.hosts.tcp_forwarder import Backend, TcpForwarder


class Addresses:
    """`private_ip` gives an instance's primary address, or None while it is not known."""

    def __init__(self, portal: BlockingPortal, service_port: int, private_ip: Callable[[str], str | None]) -> None:
        self._portal = portal
        self._port = service_port
        self._private_ip = private_ip
        self._fronts: dict[str, TcpForwarder] = {}
        self._pointed: dict[str, str] = {}

    def forward(self, address: str, instance: str | None) -> None:
        self._portal.call(self._point, address, instance)

    def truth(self) -> Mapping[str, str]:
        return dict(self._pointed)

    async def _point(self, address: str, instance: str | None) -> None:
        former = self._pointed.get(address)
        if former == instance or (instance is not None and self._private_ip(instance) == address):
            return  # a host listens on its primary address itself
        front = self._fronts.setdefault(address, TcpForwarder(address, self._port, lambda: self._backend(address)))
        if instance is None:
            self._pointed.pop(address, None)
            front.stop_listening()
        else:
            self._pointed[address] = instance
            await front.listen()
        if former is not None:
            front.cut(former)

    def _backend(self, address: str) -> Iterable[Backend]:
        instance = self._pointed.get(address)
        private = self._private_ip(instance) if instance is not None else None
        return [Backend(instance, private, self._port)] if instance and private else []
