"""How instances change state, and when. Every change goes through `change_state`; timers wait.

pending -> running -> stopping -> stopped -> pending ...
pending, running, stopping, stopped -> shutting-down -> terminated
"""

from __future__ import annotations

import base64
import binascii
import logging
import time

from lab.contracts import BootSpec
from lab.ec2 import addresses, interfaces, spot, volume_attachments
from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, incorrect_state
from lab.ec2.records import ACCOUNT, STATE_CODES, Instance, Params, utc
from lab.ec2.world import World

log = logging.getLogger("lab.lifecycle")

LEGAL_CHANGES = {
    "pending": {"running", "shutting-down"},
    "running": {"stopping", "shutting-down"},
    "stopping": {"stopped", "shutting-down"},
    "stopped": {"pending", "shutting-down"},
    "shutting-down": {"terminated"},
    "terminated": set(),
}
USER_INITIATED = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
SPOT_INTERRUPTION = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
HARDWARE_FAILURE = ("Server.InternalError", "Server.InternalError: Internal error on launch")

Reason = tuple[str, str]


def change_state(world: World, instance: Instance, state: str) -> int:
    """Change the state; returns its version, by which a timer knows whether it still applies."""
    if state not in LEGAL_CHANGES[instance.state]:
        raise incorrect_state(instance.id)
    log.info("instance %s: %s -> %s", instance.id, instance.state, state, extra={"instance_id": instance.id})
    instance.state = state
    instance.state_version += 1
    if state != "running":
        instance.ok_at = None
    return instance.state_version


def start_pending(world: World, instance: Instance) -> None:
    """Start a pending instance after a while. Meanwhile its volumes are created."""
    state_version = instance.state_version
    world.after(world.profile.launch_s, lambda: _prepare(world, instance, state_version))


def _prepare(world: World, instance: Instance, state_version: int) -> None:
    if instance.state_version != state_version:
        return
    volume_attachments.create_launch_volumes(world, instance)
    world.then(lambda: world.transact(lambda: _run(world, instance, state_version)))


def _run(world: World, instance: Instance, state_version: int) -> None:
    if instance.state_version != state_version:
        return
    state_version = change_state(world, instance, "running")
    instance.state_reason, instance.transition_reason = None, ""
    instance.ok_at = time.time() + world.profile.boot_s
    volume_attachments.plug_in(world, instance)
    addresses.forward_all(world, instance)
    world.after(world.profile.boot_s, lambda: _boot(world, instance, state_version))


def _boot(world: World, instance: Instance, state_version: int) -> None:
    if instance.state_version == state_version:
        spec = boot_spec(world, instance)
        world.then(lambda: world.hosts.boot(spec))
        world.then(lambda: _undo_late_boot(world, instance, state_version))


def _undo_late_boot(world: World, instance: Instance, state_version: int) -> None:
    """Power the host off if the instance was ended while it started."""
    if instance.state_version != state_version and instance.state in ("terminated", "stopped"):
        world.hosts.power_off(instance.id)


def user_data(instance: Instance) -> str:
    raw = instance.attributes.get("userData") or ""
    try:
        return base64.b64decode(str(raw)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return str(raw)


def boot_spec(world: World, instance: Instance) -> BootSpec:
    return BootSpec(
        instance_id=instance.id,
        private_ip=world.interfaces_of(instance.id)[0].private_ip,
        region=world.region,
        zone=instance.zone,
        instance_type=instance.instance_type,
        image_id=instance.image_id,
        account_id=ACCOUNT,
        user_data=user_data(instance),
        tags=dict(instance.tags),
        lifecycle=instance.lifecycle,
    )


def terminate(world: World, instance: Instance, reason: Reason, at_once: bool = False) -> None:
    """Shut down, power off, release. Does nothing to an instance that is ending or has ended."""
    if not instance.alive:
        return
    had_power = instance.state in ("running", "stopping")
    state_version = change_state(world, instance, "shutting-down")
    stamp = utc(time.time()).strftime("%Y-%m-%d %H:%M:%S GMT")
    instance.state_reason = reason
    instance.transition_reason = f"{'User initiated' if reason is USER_INITIATED else reason[0]} ({stamp})"
    instance.notice = None
    if at_once:
        world.then(lambda: _power_off(world, instance, state_version))
        return
    if had_power:
        world.then(lambda: world.hosts.shutdown(instance.id))
    world.clock.after(world.profile.terminate_s, lambda: _power_off(world, instance, state_version))


def _power_off(world: World, instance: Instance, state_version: int) -> None:
    """Runs outside the lock: wait until the host is gone, then release what it had."""
    try:
        world.hosts.power_off(instance.id)
    finally:
        world.transact(lambda: _end(world, instance, state_version))


def _end(world: World, instance: Instance, state_version: int) -> None:
    if instance.state_version != state_version or instance.state == "terminated":
        return
    addresses.release_all(world, instance)
    volume_attachments.release_all(world, instance)
    interfaces.release_all(world, instance)
    change_state(world, instance, "terminated")
    spot.instance_ended(world, instance)
    world.hosts.spot_notice(instance.id, None, None)
    from lab.ec2 import load_balancers  # moto's load balancers are loaded on first need

    load_balancers.instance_ended(world, instance.id)


def stop(world: World, instance: Instance, reason: Reason = USER_INITIATED) -> None:
    state_version = change_state(world, instance, "stopping")
    stamp = utc(time.time()).strftime("%Y-%m-%d %H:%M:%S GMT")
    instance.state_reason, instance.transition_reason = reason, f"User initiated ({stamp})"
    world.then(lambda: world.hosts.shutdown(instance.id))

    def power_off() -> None:
        world.hosts.power_off(instance.id)
        world.transact(lambda: _stopped(world, instance, state_version))

    world.clock.after(world.profile.stop_s, power_off)


def _stopped(world: World, instance: Instance, state_version: int) -> None:
    if instance.state_version == state_version:
        change_state(world, instance, "stopped")
        instance.notice = None
        spot.instance_stopped(world, instance)


def state_change(instance: Instance, before: str) -> dict[str, object]:
    return {
        "InstanceId": instance.id,
        "CurrentState": {"Code": STATE_CODES[instance.state], "Name": instance.state},
        "PreviousState": {"Code": STATE_CODES[before], "Name": before},
    }


@action("TerminateInstances")
def terminate_instances(world: World, params: Params) -> ActionResponse:
    """Repeating is safe. When one instance is protected, none is terminated."""
    found = [world.instance(i) for i in params.get("InstanceIds") or ()]
    for instance in found:
        if instance.alive and instance.attributes.get("disableApiTermination"):
            raise Ec2Error(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination'"
                " instance attribute and try again.",
            )
    changes = []
    for instance in found:
        before = instance.state
        terminate(world, instance, USER_INITIATED)
        changes.append(state_change(instance, before))
    return {"TerminatingInstances": changes}


@action("StopInstances")
def stop_instances(world: World, params: Params) -> ActionResponse:
    found = [world.instance(i) for i in params.get("InstanceIds") or ()]
    for instance in found:
        spot.check_stop(world, instance)
        if instance.attributes.get("disableApiStop"):
            raise Ec2Error(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be stopped. Modify its 'disableApiStop' instance"
                " attribute and try again.",
            )
        if instance.state not in ("running", "stopping", "stopped"):
            raise incorrect_state(instance.id)
    changes = []
    for instance in found:
        before = instance.state
        if before == "running":
            stop(world, instance)
        changes.append(state_change(instance, before))
    return {"StoppingInstances": changes}


@action("StartInstances")
def start_instances(world: World, params: Params) -> ActionResponse:
    found = [world.instance(i) for i in params.get("InstanceIds") or ()]
    for instance in found:
        if instance.state not in ("running", "pending", "stopped"):
            raise incorrect_state(instance.id)
        if instance.state == "stopped":
            volume_attachments.check_root(world, instance)
    changes = []
    for instance in found:
        before = instance.state
        if before == "stopped":
            change_state(world, instance, "pending")
            spot.instance_started(world, instance)
            start_pending(world, instance)
        changes.append(state_change(instance, before))
    return {"StartingInstances": changes}


@action("RebootInstances")
def reboot_instances(world: World, params: Params) -> ActionResponse:
    found = [world.instance(i) for i in params.get("InstanceIds") or ()]
    for instance in found:
        if instance.state != "running":
            raise incorrect_state(instance.id)
    for instance in found:
        world.then(lambda i=instance.id: world.hosts.reboot(i))  # type: ignore[misc]
    return {}
