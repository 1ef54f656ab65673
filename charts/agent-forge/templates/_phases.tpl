{{- /* (list defaults entry): maps merged, everything else replaced, null taken away. sprig's merge functions treat
       false, 0 and "" differently from version to version; this one does not. */ -}}
{{- define "agent-forge.merge" -}}
{{- $merged := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $merged $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $merged $key)) -}}
{{- $_ := set $merged $key (include "agent-forge.merge" (list (get $merged $key) $value) | fromYaml) -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{- /* The phases that are enabled, each whole, as YAML. */ -}}
{{- define "agent-forge.phases" -}}
{{- $phases := dict -}}
{{- range $name, $entry := .Values.phases -}}
{{- $phase := include "agent-forge.merge" (list $.Values.phaseDefaults $entry) | fromYaml -}}
{{- if $phase.enabled -}}
{{- $_ := set $phases $name $phase -}}
{{- end -}}
{{- end -}}
{{- toYaml $phases -}}
{{- end -}}

{{- /* A phase's job values: ranks in one pod. */ -}}
{{- define "agent-forge.processesPerPod" -}}
{{- .processesPerPod | default .gpus | default 1 | int -}}
{{- end -}}
