{{- define "type_members" -}}
{{- $field := . -}}
{{- if eq $field.Name "metadata" -}}
Kubernetes' own metadata.
{{- else -}}
{{ $field.Doc | replace "\n" " " | markdownRenderFieldDoc }}
{{- end -}}
{{- end -}}
