{{/* The parts that several objects share. */}}

{{/* Labels of an object; call with (list $ "component"), an empty component for none. */}}
{{- define "wicketgate.labels" -}}
{{- $root := index . 0 }}{{ $component := index . 1 -}}
app.kubernetes.io/name: wicketgate
{{- with $component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: wicketgate
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What pods are selected by; call with the component. Never changes, because it cannot. */}}
{{- define "wicketgate.selector" -}}
app.kubernetes.io/name: wicketgate
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of pods: without the chart's version, which is no reason to restart them. */}}
{{- define "wicketgate.podLabels" -}}
{{ include "wicketgate.selector" . }}
app.kubernetes.io/part-of: wicketgate
{{- end }}

{{- define "wicketgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What every pod begins with. */}}
{{- define "wicketgate.pod" -}}
automountServiceAccountToken: false
# A Service's address in the environment looks like a setting, and is of no use here.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Secrets are root's and of this group; nobody else can read them.
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* What every container may not do. */}}
{{- define "wicketgate.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Spread over nodes and zones; call with (list $ "component"). */}}
{{- define "wicketgate.spread" -}}
{{- $root := index . 0 }}{{ $component := index . 1 -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: {{ $root.Values.spread.nodes }}
  {{- if eq $root.Values.spread.nodes "DoNotSchedule" }}
  nodeTaintsPolicy: Honor
  {{- end }}
  labelSelector:
    matchLabels:
      {{- include "wicketgate.selector" $component | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: {{ $root.Values.spread.zones }}
  {{- if eq $root.Values.spread.zones "DoNotSchedule" }}
  # A zone whose nodes are all tainted, because it is gone, does not count.
  nodeTaintsPolicy: Honor
  {{- end }}
  labelSelector:
    matchLabels:
      {{- include "wicketgate.selector" $component | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}

{{/* Items of `from` and `to`; call with a list of {namespace, pod}. Both must fit. */}}
{{- define "wicketgate.peers" -}}
{{- range . }}
- namespaceSelector:
    matchLabels:
      {{- toYaml .namespace | nindent 6 }}
  podSelector:
    matchLabels:
      {{- toYaml .pod | nindent 6 }}
{{- end }}
{{- end }}

{{/* The settings of every process, as text; a mistake ends the rendering and says what to do. */}}
{{- define "wicketgate.settings" -}}
{{- $secrets := dict
    "SERVICE_AUTH_TOKEN" "secrets.serviceAuth"
    "WICKETGATE_STATUS_TOKEN" "secrets.status"
    "WICKETGATE_TRACES_HEADERS" "secrets.tracesHeaders"
    "CLERK_WEBHOOK_SIGNING_SECRET" "secrets.clerk"
    "CLERK_SECRET_KEY" "secrets.clerk"
    "DATABASE_URL" "secrets.databaseGate and its neighbours"
    "PGPASSWORD" "secrets.databaseGate and its neighbours, as a part of the URL" -}}
{{- $decided := dict
    "WICKETGATE_AUTHZ_ADDRESS" "the chart"
    "WICKETGATE_ADMIN_ADDRESS" "the chart"
    "WICKETGATE_WEBHOOKS_ADDRESS" "the chart"
    "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS" "the chart"
    "WICKETGATE_JWKS_CACHE_FILE" "the chart"
    "WICKETGATE_POLICY_FILE" "the value policy"
    "WICKETGATE_SERVICE_TOKENS_FILE" "the value serviceTokens"
    "WICKETGATE_DRAIN_SECONDS" "the value drainSeconds"
    "WICKETGATE_GRACE_SECONDS" "the value graceSeconds"
    "WICKETGATE_TLS_CERT_FILE" "the value tls"
    "WICKETGATE_TLS_KEY_FILE" "the value tls"
    "WICKETGATE_TLS_CLIENT_CA_FILE" "the value tls"
    "WICKETGATE_TLS_ALLOWED_SANS" "the value tls.allowedSans" -}}
{{- range $name, $instead := $secrets }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings.%s is a secret: make a Secret, and say its name in %s" $name $instead) }}
{{- end }}
{{- $file := printf "%s_FILE" $name }}
{{- if hasKey $.Values.settings $file }}
{{- fail (printf "settings.%s is decided by %s: take it out of settings" $file $instead) }}
{{- end }}
{{- end }}
{{- range $name, $instead := $decided }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings.%s is decided by %s: take it out of settings" $name $instead) }}
{{- end }}
{{- end }}
{{- $revocations := get .Values.settings "WICKETGATE_REVOCATION_DATABASE_URL" | default "off" }}
{{- if ne (lower $revocations) "off" }}
{{- fail "settings.WICKETGATE_REVOCATION_DATABASE_URL is a secret: add it to the Secret secrets.databaseGate under a key such as revocation-url, and set WICKETGATE_REVOCATION_DATABASE_URL_FILE to /etc/wicketgate/database/revocation-url" }}
{{- end }}
{{- $settings := dict }}
{{- range $name, $value := .Values.settings }}
{{- $_ := set $settings $name $value }}
{{- end }}
{{- if not (get $settings "CLERK_PUBLISHABLE_KEY") }}
{{- if not (get $settings "CLERK_ISSUER") }}
{{- fail "settings.CLERK_PUBLISHABLE_KEY is not set: take the key that begins with pk_ from Clerk's dashboard, under API keys" }}
{{- end }}
{{- $_ := unset $settings "CLERK_PUBLISHABLE_KEY" }}
{{- else if not (hasPrefix "pk_" (get $settings "CLERK_PUBLISHABLE_KEY")) }}
{{- fail "settings.CLERK_PUBLISHABLE_KEY does not begin with pk_: take the publishable key from Clerk's dashboard, not the secret one" }}
{{- end }}
{{- range $which, $name := .Values.secrets }}
{{- if not (or (regexMatch "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" $name) (and (eq $which "tracesHeaders") (eq $name ""))) }}
{{- fail (printf "secrets.%s is not the name of a Secret: lower-case letters, digits, - and ." $which) }}
{{- end }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if regexMatch "^(sk_|whsec_)|://[^/?#@[:space:]]*:[^/?#@[:space:]]*@" $value }}
{{- fail (printf "settings.%s has a secret in it: values are no place for one" $name) }}
{{- end }}
{{- end }}
{{- if .Values.tls.enabled }}
{{- $_ := set $settings "WICKETGATE_TLS_ALLOWED_SANS" (join "," .Values.tls.allowedSans) }}
{{- end }}
{{- range $name, $value := $settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* A text that somebody else wrote, as what follows `|2`; call with (dict "name" … "text" …). */}}
{{- define "wicketgate.text" -}}
{{- /* To YAML these end a line, and what follows would be none of the text any more. */}}
{{- if regexMatch "[\r\u0085\u2028\u2029]" (.text | replace "\r\n" "\n") }}
{{- fail (printf "%s has a line that ends with something other than a newline" .name) }}
{{- end }}
{{- .text | replace "\r\n" "\n" | nindent 4 }}
{{- end }}
