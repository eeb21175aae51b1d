{{- define "gvList" -}}
{{- $groupVersions := . -}}
# API reference

Generated from the Go types in `api/` by `hack/generate.sh`. `kubectl explain sparkpipeline.spec` shows the same text.

{{ range $groupVersions }}
{{ template "gvDetails" . }}
{{ end }}

{{- end -}}
