{{- /* What every pod says first: (list root account). */ -}}
{{- define "agent-forge.podSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "agent-forge.fullname" $root }}-{{ index . 1 }}
# A Service called "agentforge-…" would else appear as AGENTFORGE_… in the environment, which is ours.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "agent-forge.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{- /* (list root values): where a pod may run. With singleNode: beside the others that use the volume. */ -}}
{{- define "agent-forge.scheduling" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $affinity := deepCopy ($values.affinity | default dict) -}}
{{- if $root.Values.volume.singleNode -}}
{{- $labels := dict "app.kubernetes.io/instance" $root.Release.Name "agentforge.dev/volume" "shared" -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $labels) -}}
{{- $pods := $affinity.podAffinity | default dict -}}
{{- $key := "requiredDuringSchedulingIgnoredDuringExecution" -}}
{{- $_ := set $pods $key (append (get $pods $key | default list) $term) -}}
{{- $_ := set $affinity "podAffinity" $pods -}}
{{- end -}}
{{- range $key := list "nodeSelector" "tolerations" "topologySpreadConstraints" }}
{{- with get $values $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" }}
{{- with get $values $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A map of name to value as entries of env. */ -}}
{{- define "agent-forge.env" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "agent-forge.tokenEnv" -}}
- name: AGENTFORGE_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ include "agent-forge.tokenSecret" . }}, key: {{ .Values.token.key }}}
{{- end -}}
