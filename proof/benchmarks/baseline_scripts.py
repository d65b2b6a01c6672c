"""Baselines: what people script today to move a server, and to replace one that was interrupted.

Both end as the product does: the data volume is mounted, the address has moved, the service is healthy.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from proof.benchmarks.move_script import MoveScript, ScriptedServer, ScriptTimes, wait_until

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class StopThenMove(MoveScript):
    """Stop, image, terminate, launch, attach: the service is out from the first call to the last."""

    def move(self, server: ScriptedServer, instance_type: str) -> tuple[ScriptedServer, ScriptTimes]:
        ec2, times, old = self._ec2, ScriptTimes(), self._look(server.instance_id)
        filesystem = self._mounted(server.instance_id)
        with times.step("stop"):
            ec2.stop_instances(InstanceIds=[server.instance_id])
            wait_until(lambda: self._state(server.instance_id) == "stopped")
        with times.step("image"):
            image = self._image_of(ec2, server.instance_id)
        with times.step("terminate"):
            ec2.terminate_instances(InstanceIds=[server.instance_id])
            wait_until(lambda: self._state(server.instance_id) == "terminated")
        with times.step("launch"):
            new = self._launch({**old, "ImageId": image}, instance_type, spot=False)
            wait_until(lambda: self._state(new) == "running" and self.agent_is_up(new))
        with times.step("attach"):
            self._take_over(server, new, filesystem, times)
        ec2.deregister_image(ImageId=image)
        return ScriptedServer(new, server.volume_id, server.allocation_id), times

    def _image_of(self, ec2: EC2Client, instance_id: str) -> str:
        """An image without the data volume, which is moved."""
        skip: Any = [{"DeviceName": "/dev/sdf", "NoDevice": ""}]
        name = f"move-{instance_id}-{time.time_ns()}"
        image = ec2.create_image(InstanceId=instance_id, Name=name, BlockDeviceMappings=skip)["ImageId"]
        wait_until(lambda: ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
        return image


class ReplaceAfterEnd(MoveScript):
    """Replaces an interrupted instance once EC2 says that it is gone."""

    def replace(self, server: ScriptedServer, instance_type: str, filesystem: str) -> ScriptedServer:
        old = self._look(server.instance_id)
        wait_until(lambda: self._state(server.instance_id) == "terminated")
        new = self._launch(old, instance_type)
        wait_until(lambda: self._state(new) == "running" and self.agent_is_up(new))
        self._take_over(server, new, filesystem, ScriptTimes())
        return ScriptedServer(new, server.volume_id, server.allocation_id)

    def filesystem(self, server: ScriptedServer) -> str:
        """The UUID of its filesystem, which has to be read before the host is gone."""
        return self._mounted(server.instance_id)
