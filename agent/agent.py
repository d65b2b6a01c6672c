"""The agent put together: who it is, what it watches, to whom it reports, what it serves.

main thread      imports temporalio, then the event loop: the Temporal worker
imds-watch       notices from AWS
registrar        a valid instance token
heartbeats       to the control plane
notices          to the control plane
prices           to the control plane, where its owner has a hook for them
host-*           blocking work of activities
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from agent.control_plane import ControlPlane, ControlPlaneError, ControlPlaneRefusal, Registration
from agent.hooks import Hooks
from agent.host import Host
from agent.imds import Identity, learn_identity
from agent.imds_watch import ImdsWatch
from agent.notice_board import NoticeBoard
from agent.prices import PriceSender
from agent.registrar import Registrar
from agent.senders import HeartbeatSender, NoticeSender
from agent.settings import Settings
from agent.state_dir import StateDir
from agent.temporal_addresses import Address, TemporalAddresses


class Agent:
    """All of the agent but Temporal, which is loaded while this already works."""

    def __init__(self, settings: Settings, log_context: dict[str, object]) -> None:
        self.settings = settings
        self.state = StateDir(settings.state_dir)
        self.board = NoticeBoard()
        self.stopped = threading.Event()
        self.identity: Future[Identity] = Future()
        self.token = ""
        self.on_change = threading.Event().set  # replaced by whoever serves Temporal
        self._log_context = log_context
        configured = settings.temporal_address
        self.addresses = TemporalAddresses(
            Address(configured, settings.temporal_namespace) if configured else None, self.state
        )

    def start(self) -> None:
        """Learn the identity in a thread of its own. The watch and the registration start from there."""
        threading.Thread(target=self._start, name="identity", daemon=True).start()

    def host(self, instance_id: str) -> Host:
        return Host(instance_id, Hooks(self.settings.hooks_dir), self.state)

    def _start(self) -> None:
        identity = learn_identity(self.settings.imds, self.stopped)
        if identity is None:
            return
        self._log_context["instance"] = identity.instance_id
        ImdsWatch(identity.instance_id, self.settings.imds, self.board, self.stopped).start()
        if self.settings.control_url:
            self._report(identity)
        self.identity.set_result(identity)

    def _report(self, identity: Identity) -> None:
        url = self.settings.control_url
        registrar = Registrar(
            ControlPlane(url), identity, self.settings.token, self.stopped, self._accepted, self._not_accepted
        )
        NoticeSender(self.board, ControlPlane(url), registrar, self.stopped).start()
        HeartbeatSender(identity.instance_id, ControlPlane(url), registrar, self.stopped).start()
        PriceSender(Hooks(self.settings.hooks_dir), ControlPlane(url), registrar, self.stopped).start()
        registrar.start()

    def _accepted(self, registration: Registration) -> None:
        self.token = registration.instance_token
        self.addresses.registered(
            registration.temporal_address, registration.temporal_namespace, registration.server_id
        )
        self.on_change()

    def _not_accepted(self, error: ControlPlaneError) -> None:
        """Without an answer the agent goes on with what it knew. A refusal is an answer."""
        if not isinstance(error, ControlPlaneRefusal):
            self.addresses.recall()
            self.on_change()
