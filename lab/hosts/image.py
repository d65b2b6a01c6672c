"""The lab's machine image: how it reads its user data, and the environment of its services."""

from __future__ import annotations

import json
import os

from lab.hosts import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lab.hosts.disks import Disk

KINDS = ("stateless", "volume", "root")


class HostImage:
    """Reads the host's spec. User data that is not a JSON object means a stateless workload.

    Keys: `workload` (stateless, volume, or root: data on the root volume), `mount` (/data),
    `mounts` ({device: path}, for more than one data volume), `autostart` (true), `fail` ({hook: true}).
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.spec = paths.read_json(paths.spec_file(host))
        self.asked = parse_user_data(str(self.spec.get("user_data", "")))
        kind = str(self.asked.get("workload", "stateless"))
        self.kind = kind if kind in KINDS else "stateless"
        self.mount = "/" + str(self.asked.get("mount", "/data")).strip("/")
        self.autostart = bool(self.asked.get("autostart", True))

    @property
    def needs_mount(self) -> str | None:
        """The unit's RequiresMountsFor."""
        return self.mount if self.kind == "volume" else None

    @property
    def data_point(self) -> str:
        """Where the workload keeps its data; the image has this directory."""
        return "/srv" if self.kind == "root" else self.mount

    @property
    def has_agent(self) -> bool:
        image = self._agent_image()
        return bool(image.get("control_url") or image.get("temporal_address"))

    def fstab(self, plugged: list[Disk]) -> dict[str, str]:
        """device -> mount point. Only volumes that are plugged at boot are mounted."""
        named = self.asked.get("mounts")
        if isinstance(named, dict):
            return {str(device): str(target) for device, target in named.items()}
        if self.kind != "volume":
            return {}
        data = [disk.device for disk in plugged if not disk.is_root]
        return {data[0]: self.mount} if data else {}

    def workload_environment(self, volume: str) -> dict[str, str]:
        return self._service() | {
            "PATH": "/usr/bin:/bin",
            "LAB_INSTANCE": str(self.spec["instance_id"]),
            "LAB_WORKLOAD": self.kind,
            "LAB_VOLUME": volume,
            "LAB_STATE_DIR": paths.state_of(self.host),
        }

    def agent_environment(self) -> dict[str, str]:
        image = self._agent_image()
        return self._service() | {
            "PATH": f"{self.host}/bin:/usr/bin:/bin",
            "PYTHONPATH": paths.REPOSITORY,
            "PYTHONUNBUFFERED": "1",
            "HOME": self.host,
            "LANG": "C.UTF-8",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": str(self.spec["imds_endpoint"]),
            "SPOT_CONTROL_URL": str(image.get("control_url", "")),
            "SPOT_TOKEN": str(image.get("token", "")),
            "SPOT_TEMPORAL_ADDRESS": str(image.get("temporal_address", "")),
            "SPOT_TEMPORAL_NAMESPACE": str(image.get("temporal_namespace", "")),
            "SPOT_HOOKS_DIR": str(image.get("hooks") or f"{self.host}/hooks"),
            "SPOT_STATE_DIR": f"{self.host}/var/agent",
            "SPOT_LOG_LEVEL": str(self.spec.get("log_level", "INFO")),
        }

    def _service(self) -> dict[str, str]:
        return {
            "LAB_HOST_DIR": self.host,
            "SERVICE_ADDRESS": str(self.spec["private_ip"]),
            "SERVICE_PORT": str(self.spec["service_port"]),
            "DATA_DIR": os.path.join(self.host, "root", self.data_point.strip("/")),
        }

    def _agent_image(self) -> dict[str, object]:
        image = self.spec.get("agent")
        return image if isinstance(image, dict) else {}


def parse_user_data(text: str) -> dict[str, object]:
    try:
        asked = json.loads(text)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}
