{{- /* (list root name phase): the Job that the launcher fills in: name, labels, owner, completions, command, environment. */ -}}
{{- define "agent-forge.job" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $phase := index . 2 -}}
{{- $job := $phase.job -}}
{{- $resources := deepCopy ($job.resources | default dict) -}}
{{- if gt (int $job.gpus) 0 -}}
{{- $limits := $resources.limits | default dict -}}
{{- $_ := set $limits $job.gpuResource (int $job.gpus) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
apiVersion: batch/v1
kind: Job
metadata:
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "agent-forge.selector" (list $root "worker" $name) | nindent 4 }}
    {{- with $root.Values.kueue.queueName }}
    kueue.x-k8s.io/queue-name: {{ . }}
    {{- end }}
    {{- with $root.Values.kueue.priorityClassName }}
    kueue.x-k8s.io/priority-class: {{ . }}
    {{- end }}
  {{- with $job.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if $root.Values.kueue.queueName }}
  suspend: true
  {{- end }}
  template:
    metadata:
      labels: {{- include "agent-forge.podLabels" (list $root "worker" $name) | nindent 8 }}
      {{- with $job.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      {{- include "agent-forge.podSpec" (list $root "workers") | nindent 6 }}
      automountServiceAccountToken: false
      securityContext: {{- toYaml $root.Values.podSecurityContext | nindent 8 }}
      terminationGracePeriodSeconds: {{ int64 $job.terminationGracePeriodSeconds }}
      containers:
        - name: worker
          image: {{ include "agent-forge.image" (list $root (printf "agentforge-%s" $name) $phase.image $job.image) }}
          imagePullPolicy: {{ include "agent-forge.pullPolicy" (list $root $phase.image $job.image) }}
          env:
            - {name: HOME, value: /tmp}
            - {name: AGENTFORGE_HOME, value: /data}
            {{- with include "agent-forge.env" $job.env }}{{ . | indent 12 }}{{ end }}
          {{- with $job.envFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
          resources: {{- toYaml $resources | nindent 12 }}
          securityContext: {{- include "agent-forge.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            - {name: shm, mountPath: /dev/shm}
      volumes:
        - name: data
          persistentVolumeClaim: {claimName: {{ include "agent-forge.claim" $root }}}
        - name: tmp
          emptyDir: {sizeLimit: {{ $job.tmpSize }}}
        - name: shm
          emptyDir: {medium: Memory, sizeLimit: {{ $job.shmSize }}}
      {{- with include "agent-forge.scheduling" (list $root $job) }}{{ . | indent 6 }}{{ end }}
{{- end -}}
