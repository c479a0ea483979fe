{{/* 52 characters: pods and Services add to it, and a name has at most 63. */}}
{{- define "zdm-proxy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "zdm-proxy.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "zdm-proxy.labels" -}}
{{ include "zdm-proxy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/*
The name of an instance's Service. Kubernetes gives every pod variables called like the namespace's Services; a
name beginning with zdm- would make them look like settings of the proxy.
*/}}
{{- define "zdm-proxy.instanceService" -}}
{{- printf "cql-%s-%d" (include "zdm-proxy.fullname" .root) (int .index) -}}
{{- end -}}

{{- define "zdm-proxy.addressCount" -}}
{{- if and .Values.topology.addresses (ne (len .Values.topology.addresses) (int .Values.replicas)) -}}
{{- fail (printf "topology.addresses has %d addresses for %d replicas; it must name one for each" (len .Values.topology.addresses) (int .Values.replicas)) -}}
{{- end -}}
{{- end -}}

{{/* What drivers are shown: explicit addresses, or references that the kubelet replaces by the Services' cluster IPs. */}}
{{- define "zdm-proxy.topologyAddresses" -}}
{{- include "zdm-proxy.addressCount" . -}}
{{- if .Values.topology.addresses -}}
{{- join "," .Values.topology.addresses -}}
{{- else -}}
{{- $root := . -}}
{{- $references := list -}}
{{- range $index := until (int .Values.replicas) -}}
{{- $service := include "zdm-proxy.instanceService" (dict "root" $root "index" $index) -}}
{{- $references = append $references (printf "$(%s_SERVICE_HOST)" ($service | upper | replace "-" "_")) -}}
{{- end -}}
{{- join "," $references -}}
{{- end -}}
{{- end -}}

{{/* Whether the admin API listens outside of the pod: only where callers must show who they are. */}}
{{- define "zdm-proxy.adminIsOpen" -}}
{{- if or .Values.admin.tokenSecretName .Values.settings.admin_tls_client_ca_path -}}true{{- end -}}
{{- end -}}

{{/*
Where the instances reach each other's admin API: the pods' own names. Not the instances' Services, which may be load
balancers that anybody reaches.
*/}}
{{- define "zdm-proxy.adminPeers" -}}
{{- $name := include "zdm-proxy.fullname" . -}}
{{- $peers := list -}}
{{- range $index := until (int .Values.replicas) -}}
{{- $peers = append $peers (printf "%s-%d.%s" $name $index $name) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}

{{/*
The Secrets that the proxy reads as files, in directories of their own under /etc/zdm-proxy: a JSON list. A Secret that
changes is in effect without a restart.
*/}}
{{- define "zdm-proxy.secrets" -}}
{{- $secrets := list -}}
{{- with .Values.admin.tokenSecretName -}}
{{- $items := list (dict "key" $.Values.admin.tokenKey "path" "token") -}}
{{- $secrets = append $secrets (dict "name" "admin-token" "directory" "admin" "secretName" . "items" $items) -}}
{{- end -}}
{{- range $cluster := list "origin" "target" -}}
{{- $bundle := (get $.Values $cluster).secureConnectBundle -}}
{{- with $bundle.secretName -}}
{{- $items := list (dict "key" $bundle.key "path" $bundle.key) -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-bundle" $cluster) "directory" (printf "%s-bundle" $cluster) "secretName" . "items" $items) -}}
{{- end -}}
{{- $credentials := (get $.Values $cluster).credentials -}}
{{- with $credentials.secretName -}}
{{- $items := list (dict "key" $credentials.usernameKey "path" "username") (dict "key" $credentials.passwordKey "path" "password") -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-credentials" $cluster) "directory" $cluster "secretName" . "items" $items) -}}
{{- end -}}
{{- end -}}
{{- with .Values.credentialsMap.secretName -}}
{{- $items := list (dict "key" $.Values.credentialsMap.key "path" "map.yaml") -}}
{{- $secrets = append $secrets (dict "name" "credentials-map" "directory" "credentials-map" "secretName" . "items" $items) -}}
{{- end -}}
{{- with .Values.metrics.tlsSecretName -}}
{{- $secrets = append $secrets (dict "name" "metrics-tls" "directory" "metrics-tls" "secretName" .) -}}
{{- end -}}
{{- with .Values.metrics.tokenSecretName -}}
{{- $items := list (dict "key" $.Values.metrics.tokenKey "path" "token") -}}
{{- $secrets = append $secrets (dict "name" "metrics-token" "directory" "metrics" "secretName" . "items" $items) -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}
