{{- define "agent-forge.gatewayEnv" -}}
{{- $fullname := include "agent-forge.fullname" . -}}
- {name: HOME, value: /tmp}
- {name: AGENTFORGE_HOME, value: /data}
- {name: AGENTFORGE_LISTEN, value: {{ printf "%s:8080" .Values.listenHost | quote }}}
- {name: AGENTFORGE_GRPC_LISTEN, value: {{ printf "%s:50050" .Values.listenHost | quote }}}
{{ include "agent-forge.tokenEnv" . }}
- {name: AGENTFORGE_PHASE_TARGET, value: {{ printf "%s-{phase}:50051" $fullname | quote }}}
{{- with .Values.gateway.phaseTargets }}
- {name: AGENTFORGE_PHASES, value: {{ toJson . | quote }}}
{{- end }}
- {name: AGENTFORGE_MAX_CONCURRENT_RUNS, value: {{ int64 .Values.gateway.maxConcurrentRuns | quote }}}
- {name: AGENTFORGE_UNREACHABLE_TIMEOUT_S, value: {{ int64 .Values.gateway.unreachableTimeoutSeconds | quote }}}
{{- if eq .Values.database.kind "sqlite" }}
# On a claim of its own: SQLite must not lie on a network volume.
- {name: AGENTFORGE_DATABASE_URL, value: "sqlite+aiosqlite:////var/lib/agentforge/gateway.db"}
{{- else }}
- name: AGENTFORGE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if eq .Values.database.kind "external" }}
      name: {{ .Values.database.external.existingSecret }}
      key: {{ .Values.database.external.key }}
      {{- else }}
      name: {{ $fullname }}-postgresql
      key: url
      {{- end }}
{{- end }}
{{- if ne .Values.tls.mode "none" }}
- {name: AGENTFORGE_TLS_CERT, value: /etc/agentforge-tls/tls.crt}
- {name: AGENTFORGE_TLS_KEY, value: /etc/agentforge-tls/tls.key}
- {name: AGENTFORGE_PHASE_TLS_CA, value: /etc/agentforge-phase-tls/ca.crt}
- {name: AGENTFORGE_PHASE_TLS_CERT, value: /etc/agentforge-phase-tls/tls.crt}
- {name: AGENTFORGE_PHASE_TLS_KEY, value: /etc/agentforge-phase-tls/tls.key}
{{- end }}
{{- include "agent-forge.env" .Values.gateway.env }}
{{- end -}}

{{- define "agent-forge.gatewayScheme" -}}
{{- ternary "http" "https" (eq .Values.tls.mode "none") -}}
{{- end -}}
