{{- define "agent-forge.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-agent-forge" .Release.Name) (contains "agent-forge" .Release.Name) -}}
{{- end -}}
{{- $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* (list root component [phase]): what selectors match. Deployments' selectors are immutable: never change these. */ -}}
{{- define "agent-forge.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: agent-forge
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- if gt (len .) 2 }}
agentforge.dev/phase: {{ index . 2 }}
{{- end }}
{{- end -}}

{{- /* (list root component [phase]): the labels of an object. */ -}}
{{- define "agent-forge.labels" -}}
{{- $root := index . 0 -}}
{{ include "agent-forge.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* (list root component [phase]): pods get no version, or each upgrade of the chart would roll all of them. */ -}}
{{- define "agent-forge.podLabels" -}}
{{ include "agent-forge.selector" . }}
agentforge.dev/volume: shared
{{- end -}}

{{- /* (list root default-repository override …): later overrides win. */ -}}
{{- define "agent-forge.image" -}}
{{- $root := index . 0 -}}
{{- $image := dict "repository" (index . 1) "tag" ($root.Values.image.tag | default $root.Chart.AppVersion) "digest" "" -}}
{{- range slice . 2 -}}
{{- range $key, $value := . -}}
{{- $_ := set $image $key $value -}}
{{- end -}}
{{- end -}}
{{- with $root.Values.image.registry -}}{{ trimSuffix "/" . }}/{{- end -}}
{{ $image.repository }}:{{ $image.tag }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- /* (list root override …) */ -}}
{{- define "agent-forge.pullPolicy" -}}
{{- $policy := (index . 0).Values.image.pullPolicy -}}
{{- range slice . 1 -}}
{{- $policy = .pullPolicy | default $policy -}}
{{- end -}}
{{- $policy -}}
{{- end -}}

{{- define "agent-forge.claim" -}}
{{- .Values.volume.existingClaim | default (printf "%s-data" (include "agent-forge.fullname" .)) -}}
{{- end -}}

{{- define "agent-forge.tokenSecret" -}}
{{- .Values.token.existingSecret | default (printf "%s-token" (include "agent-forge.fullname" .)) -}}
{{- end -}}

{{- /* (list root part): part is gateway, phases or client. */ -}}
{{- define "agent-forge.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- if eq $root.Values.tls.mode "existing" -}}
{{- get $root.Values.tls.existing (printf "%sSecret" (index . 1)) -}}
{{- else -}}
{{- printf "%s-%s-tls" (include "agent-forge.fullname" $root) (index . 1) -}}
{{- end -}}
{{- end -}}
