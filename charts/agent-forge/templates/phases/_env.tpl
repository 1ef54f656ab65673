{{- /* (list root name phase): the environment of a phase service. */ -}}
{{- define "agent-forge.phaseEnv" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $phase := index . 2 -}}
{{- $host := $root.Values.listenHost -}}
- {name: HOME, value: /tmp}
- {name: AGENTFORGE_HOME, value: /data}
- {name: AGENTFORGE_HEALTH_LISTEN, value: {{ printf "%s:50052" $host | quote }}}
- {name: AGENTFORGE_METRICS_LISTEN, value: {{ printf "%s:9464" $host | quote }}}
{{ include "agent-forge.tokenEnv" $root }}
- {name: AGENTFORGE_LAUNCHER, value: {{ $root.Values.launcher.kind }}}
{{- if eq $root.Values.launcher.kind "kubernetes" }}
- {name: AGENTFORGE_JOB_TEMPLATE, value: /etc/agentforge/job.yaml}
- {name: AGENTFORGE_JOB_OWNER, value: {{ include "agent-forge.fullname" $root }}-{{ $name }}-job}
- {name: AGENTFORGE_JOB_PROCESSES_PER_POD, value: {{ include "agent-forge.processesPerPod" $phase.job | quote }}}
- {name: AGENTFORGE_JOB_PENDING_TIMEOUT_S, value: {{ int64 $root.Values.launcher.pendingTimeoutSeconds | quote }}}
- {name: AGENTFORGE_JOB_DEADLINE_S, value: {{ int64 $phase.job.deadlineSeconds | quote }}}
- {name: AGENTFORGE_JOB_MAX_RESTARTS, value: {{ int64 $root.Values.launcher.maxRestarts | quote }}}
{{- end }}
{{- if ne $root.Values.tls.mode "none" }}
- {name: AGENTFORGE_TLS_CERT, value: /etc/agentforge-tls/tls.crt}
- {name: AGENTFORGE_TLS_KEY, value: /etc/agentforge-tls/tls.key}
- {name: AGENTFORGE_TLS_CLIENT_CA, value: /etc/agentforge-tls/ca.crt}
{{- end }}
{{- include "agent-forge.env" $phase.env }}
{{- end -}}
