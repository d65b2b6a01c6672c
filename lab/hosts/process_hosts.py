"""The lab's hosts as processes, with their volumes, addresses, listeners and IMDS behind one interface."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

from lab.contracts import AgentImage, BootSpec, HealthCheck, InstanceFacts, LabSettings
from lab.hosts import paths
from lab.hosts.addresses import Addresses
from lab.hosts.disks import FileLock
from lab.hosts.host import Host, HostSettings
from lab.hosts.identity import Signer
from lab.hosts.imds import Imds
from lab.hosts.target_group import TargetGroups
from lab.hosts.tcp_forwarder import Backend
from lab.hosts.volume_store import VolumeStore
from lab.loop_thread import loop_thread


class ProcessHosts:
    """Satisfies `lab.contracts.Hosts`; see there for what each method promises."""

    def __init__(self, settings: LabSettings, cloud: InstanceFacts) -> None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._cloud = cloud
        self._image = AgentImage()
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-spawner")
        self._machine = HostSettings(settings, self._spawner)
        self._open = ExitStack()
        self._portal = self._open.enter_context(loop_thread("lab-sockets"))
        self._signer = Signer(settings.state_dir)
        self._imds = Imds(self._portal, settings.imds_port, self._signer.sign)
        self._volumes = VolumeStore(settings.state_dir, self._init_pid)
        self._addresses = Addresses(self._portal, settings.service_port, self._private_ip)
        self._groups = TargetGroups(self._portal)

    # Hosts

    def boot(self, spec: BootSpec) -> None:
        with self._lock:
            host = self._hosts.get(spec.instance_id)
            if host is None or (host.spec != spec and host.init_pid is None):
                host = self._hosts[spec.instance_id] = Host(self._machine, spec)
        instance = spec.instance_id
        self._imds.open(instance, spec.private_ip, lambda: self._facts(host))
        host.boot(self._image)

    def reboot(self, instance_id: str) -> None:
        host = self._hosts.get(instance_id)
        if host is None:
            return
        threading.Thread(target=host.reboot, args=(lambda: self._image,), daemon=True).start()

    def shutdown(self, instance_id: str) -> None:
        host = self._hosts.get(instance_id)
        if host is not None:
            host.shutdown()

    def power_off(self, instance_id: str) -> None:
        host = self._hosts.get(instance_id)
        if host is None:
            return
        host.power_off()
        self._imds.close(instance_id)

    # Volumes

    def create_volume(self, volume_id: str, snapshot_id: str | None) -> None:
        self._volumes.create(volume_id, snapshot_id)

    def delete_volume(self, volume_id: str) -> None:
        self._volumes.delete(volume_id)

    def snapshot(self, snapshot_id: str, volume_id: str) -> None:
        self._volumes.snapshot(snapshot_id, volume_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        self._volumes.delete_snapshot(snapshot_id)

    def plug(self, volume_id: str, instance_id: str, device: str) -> None:
        self._volumes.plug(volume_id, instance_id, device)

    def unplug(self, volume_id: str, force: bool = False) -> None:
        self._volumes.unplug(volume_id, force)

    def mounted(self, volume_id: str) -> bool:
        return self._volumes.mounted(volume_id)

    # Addresses and listeners

    def forward(self, address: str, instance_id: str | None) -> None:
        self._addresses.forward(address, instance_id)

    def open_listener(self, target_group: str, address: str, port: int, check: HealthCheck) -> None:
        self._groups.open_listener(target_group, address, port, check)

    def close_listener(self, target_group: str) -> None:
        self._groups.close_listener(target_group)

    def register_target(self, target_group: str, instance_id: str, address: str, port: int) -> None:
        self._groups.register(target_group, Backend(instance_id, address, port))

    def deregister_target(self, target_group: str, instance_id: str, drain_s: float) -> None:
        self._groups.deregister(target_group, instance_id, drain_s)

    def target_health(self, target_group: str) -> Mapping[str, str]:
        return self._groups.health(target_group)

    # Notices and faults

    def spot_notice(self, instance_id: str, action: str | None, at: datetime | None) -> None:
        self._imds.notify(instance_id, lambda notices: notices.with_action(action, at))

    def rebalance_notice(self, instance_id: str, at: datetime | None) -> None:
        self._imds.notify(instance_id, lambda notices: replace(notices, rebalance_at=at))

    def kill_agent(self, instance_id: str) -> bool:
        host = self._hosts.get(instance_id)
        return host is not None and host.kill("agent")

    def kill_workload(self, instance_id: str) -> bool:
        host = self._hosts.get(instance_id)
        return host is not None and host.kill("workload")

    def hang_agent(self, instance_id: str, hung: bool) -> bool:
        host = self._hosts.get(instance_id)
        return host is not None and host.stop_agent_for("hung", hung)

    def partition(self, instance_id: str, cut: bool) -> None:
        """The agent is stopped while it is cut off, so it cannot act at all; the workload goes on.
        In a real partition the agent would run on without a connection."""
        host = self._hosts.get(instance_id)
        if host is not None:
            host.stop_agent_for("cut", cut)

    def set_hook_faults(self, faults: Mapping[str, object]) -> None:
        """Which of the image's hooks fail from now on: {"warm-up": {"instance_types": [...]}}.

        A rule is `true` or an object: `instance_types`, `instances`, `zones` (all that are given
        must match), `next` (how many more times), `sleep_s` (wait first), `after` (do the work before
        that), `fail` (false: only wait). `last` is written beside `next`: whose hook met it.
        """
        path = paths.faults_file(str(self._settings.state_dir))
        with FileLock(path + ".lock"):
            paths.write_json(path, dict(faults))

    # The lab's own affairs

    def set_image(self, image: AgentImage) -> None:
        self._image = image

    def certificate_pem(self) -> str:
        """The certificate that identity documents are verified with."""
        return self._signer.certificate_pem()

    def truth(self) -> Mapping[str, object]:
        with self._lock:
            hosts = dict(self._hosts)
        return {
            "hosts": {name: host.truth() for name, host in hosts.items()},
            "volumes": self._volumes.truth(),
            "addresses": self._addresses.truth(),
            "listeners": self._groups.truth(),
        }

    def close(self) -> None:
        with self._lock:
            hosts = list(self._hosts.values())
        for host in hosts:
            host.power_off()
        self._open.close()
        self._spawner.shutdown()

    def _init_pid(self, instance: str) -> int | None:
        host = self._hosts.get(instance)
        return host.init_pid if host is not None else None

    def _private_ip(self, instance: str) -> str | None:
        host = self._hosts.get(instance)
        return host.spec.private_ip if host is not None else None

    def _facts(self, host: Host) -> Mapping[str, object]:
        """What the host was booted with, overridden by what the EC2 half says now."""
        spec = host.spec
        known: dict[str, object] = {
            "accountId": spec.account_id,
            "availabilityZone": spec.zone,
            "imageId": spec.image_id,
            "instanceId": spec.instance_id,
            "instanceType": spec.instance_type,
            "lifecycle": spec.lifecycle,
            "pendingTime": datetime.fromtimestamp(host.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "privateIp": spec.private_ip,
            "region": spec.region,
            "tags": spec.tags,
            "userData": spec.user_data,
        }
        with suppress(KeyError):  # the EC2 half no longer has it; the host's own facts remain
            live = self._cloud.instance_facts(spec.instance_id)
            known |= {key: value for key, value in live.items() if value is not None}
        return known
