// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// CertificateKind and issuerKind are kinds of cert-manager. Its Go module drags in
// far more than two objects need.
var (
	CertificateKind = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}
	issuerKind      = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Issuer"}
)

// tlsName is the name of the Certificate and of the Secret with its key stores.
func tlsName(p *v1alpha1.SparkPipeline) string { return p.Name + "-tls" }

// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates;issuers,verbs=get;list;watch;create;patch;delete

// certificate is the key that Spark's processes share for TLS. They trust exactly
// this certificate, and nobody else needs to, so it signs itself.
func certificate(in Input) ([]Object, error) {
	if in.Facts.Encryption != v1alpha1.SecurityTLS {
		return nil, nil
	}
	p := in.Pipeline
	return []Object{
		object(issuerKind, in, "tls", map[string]any{"selfSigned": map[string]any{}}),
		object(CertificateKind, in, "tls", map[string]any{
			"secretName": tlsName(p),
			"commonName": p.Name,
			"dnsNames":   []any{p.Name + "." + workloadNamespace(p) + ".svc"},
			"isCA":       true,
			// Keys are read once, at the start of a process, so a certificate must
			// outlive a run of months; the operator restarts before it ends.
			"duration":    "8760h",
			"renewBefore": "2160h",
			"privateKey":  map[string]any{"algorithm": "ECDSA", "size": int64(256), "encoding": "PKCS8"},
			"issuerRef":   map[string]any{"name": tlsName(p), "kind": issuerKind.Kind, "group": issuerKind.Group},
			"keystores": map[string]any{"pkcs12": map[string]any{"create": true, "profile": "Modern2023",
				"passwordSecretRef": map[string]any{"name": secretName(p), "key": keyStorePassword}}},
		}),
	}, nil
}

// object is a child of a kind that has no light Go module.
func object(kind schema.GroupVersionKind, in Input, role string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(kind)
	meta := named(in, role)
	o.SetName(meta.Name)
	o.SetNamespace(meta.Namespace)
	if spec != nil {
		o.Object["spec"] = spec
	}
	return o
}
