"""Values for every switch of the chart, on and off, by name. Each of them must render, and keep every rule."""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]
_PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "infra"}}}]
_JOB: Values = {
    "gpus": 4,
    "processesPerPod": 4,
    "image": {"tag": "0.1.0-cuda", "pullPolicy": "Always"},
    "resources": {"requests": {"cpu": 8, "memory": "64Gi"}, "limits": {"memory": "64Gi", "rdma/hca": 1}},
    "shmSize": "16Gi",
    "deadlineSeconds": 86400,
    "env": {"WANDB_MODE": "offline"},
    "envFrom": [{"secretRef": {"name": "wandb"}}],
    "annotations": {"a": "b"},
    "nodeSelector": {"gpu": "h100"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "research",
    "runtimeClassName": "nvidia",
}
_SERVICE: Values = {key: _JOB[key] for key in ("nodeSelector", "tolerations", "topologySpreadConstraints")}
_SECRETS = {"gatewaySecret": "g-tls", "phasesSecret": "p-tls", "clientSecret": "c-tls"}

SWITCHES: dict[str, Values] = {
    "default": {},
    "fullname": {"fullnameOverride": "forge"},
    "ipv6": {"listenHost": "[::]", "networkPolicy": {"apiServer": {"cidrs": ["::/0"]}}},
    "registry": {"image": {"registry": "registry.example/team/", "tag": "1.2.3", "pullPolicy": "Always"}},
    "pull secrets": {"imagePullSecrets": [{"name": "mine"}]},
    "openshift": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "own claim": {"volume": {"existingClaim": "shared"}},
    "claim goes": {"volume": {"keep": False, "storageClass": "nfs", "size": "1Ti"}},
    "single node": {"volume": {"accessMode": "ReadWriteOnce", "singleNode": True}},
    "own token": {"token": {"existingSecret": "mine", "key": "bearer.token"}},
    "sqlite class": {"database": {"sqlite": {"storageClass": "fast", "size": "1Gi"}}},
    "external": {
        "database": {"kind": "external", "external": {"existingSecret": "pg"}},
        "gateway": {"replicas": 3},
    },
    "external, fenced": {
        "database": {"kind": "external", "external": {"existingSecret": "pg", "key": "dsn"}},
        "networkPolicy": {"databaseTo": [{"ipBlock": {"cidr": "10.0.0.8/32"}}], "databasePorts": [6432]},
    },
    "bundled": {"database": {"kind": "bundled", "bundled": {"storageClass": "fast"}}, "gateway": {"replicas": 2}},
    "cert-manager": {"tls": {"mode": "certManager", "certManager": {"gatewayNames": ["forge.example"]}}},
    "own issuer": {
        "tls": {"mode": "certManager", "certManager": {"issuerRef": {"name": "a", "kind": "ClusterIssuer"}}}
    },
    "own certificates": {"tls": {"mode": "existing", "existing": _SECRETS}},
    "gateway": {
        "gateway": {
            **_SERVICE,
            "priorityClassName": "high",
            "podAnnotations": {"a": "b"},
            "phaseTargets": {"adas": "elsewhere.example:50051"},
            "env": {"AGENTFORGE_HEARTBEAT_S": "5"},
            "envFrom": [{"secretRef": {"name": "more"}}],
            "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
            "image": {"digest": "sha256:" + "0" * 64},
        }
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
            "host": "forge.example",
            "tlsSecret": "public",
            "grpc": {"enabled": True, "host": "grpc.forge.example", "tlsSecret": "public-grpc"},
        }
    },
    "ingress without grpc": {"ingress": {"enabled": True, "host": "forge.example"}},
    "gateway api": {
        "gatewayApi": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["forge.example"],
            "grpcHostnames": ["grpc.forge.example"],
        }
    },
    "local": {"launcher": {"kind": "local"}},
    "kueue": {"kueue": {"queueName": "gpus", "priorityClassName": "research"}},
    "gpu": {"phaseDefaults": {"job": _JOB}},
    "mig": {"phases": {"training": {"job": {"gpus": 1, "gpuResource": "nvidia.com/mig-1g.10gb"}}}},
    "phases scheduled": {"phaseDefaults": {**_SERVICE, "priorityClassName": "high", "podAnnotations": {"a": "b"}}},
    "one phase off": {"phases": {"adas": {"enabled": False}}},
    "no phase": {"phaseDefaults": {"enabled": False}},
    "own phase": {"phases": {"mine": {"job": {"gpus": 1}}}},
    "accounts": {"serviceAccounts": {"workers": {"eks.amazonaws.com/role-arn": "arn"}}},
    "no budgets": {"podDisruptionBudget": {"enabled": False}},
    "no policies": {"networkPolicy": {"enabled": False}},
    "policies": {
        "networkPolicy": {
            "gatewayFrom": _PEERS,
            "metricsFrom": _PEERS,
            "dns": {"to": _PEERS, "ports": [53]},
            "apiServer": {"cidrs": ["10.0.0.1/32"], "ports": [6443], "cilium": True},
            "workerEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 443}]}],
            "gatewayEgress": [{"ports": [{"port": 4317}]}],
        }
    },
    "monitoring": {
        "monitoring": {
            "serviceMonitor": True,
            "rules": True,
            "dashboard": True,
            "labels": {"release": "prometheus"},
        },
        "tls": {"mode": "certManager"},
    },
    "test": {"test": {"preset": "small", "until": "", "overrides": {}, "timeoutSeconds": 30}},
}
