"""Kubernetes' Pod Security Standard `restricted`, rule by rule, as the documentation lists them."""

from __future__ import annotations

from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(spec: dict[str, Any]) -> list[str]:
    """What admission would refuse a pod for; and, beyond it, a root file system that is not read-only."""
    pod = spec.get("securityContext", {})
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"sysctl {one['name']}" for one in pod.get("sysctls", [])]
    for volume in spec.get("volumes", []):
        found += [f"volume {volume['name']}: {kind}" for kind in set(volume) - {"name"} - _VOLUMES]
    containers = [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]
    for container in containers:
        found += [f"{container['name']}: {fault}" for fault in _container(container, pod)]
    return found


def _container(container: dict[str, Any], pod: dict[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    said = {**pod, **own}
    faults = {
        "privileged": own.get("privileged", False),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation", True),
        "capabilities are not dropped": own.get("capabilities", {}).get("drop") != ["ALL"],
        "capabilities are added": set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"},
        "runAsNonRoot": said.get("runAsNonRoot") is not True,
        "runAsUser 0": said.get("runAsUser") == 0,
        "seccomp": said.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
        "procMount": own.get("procMount", "Default") != "Default",
        "host port": any(port.get("hostPort") for port in container.get("ports", [])),
        "SELinux": set(said.get("seLinuxOptions", {})) & {"user", "role"},
        "AppArmor": said.get("appArmorProfile", {}).get("type") == "Unconfined",
        "lifecycle host": "host" in str(container.get("lifecycle", "")),
        "root is not read-only": own.get("readOnlyRootFilesystem") is not True,
    }
    return [name for name, bad in faults.items() if bad]
