// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"slices"
	"strings"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// NamespaceAllowed says whether the list in the annotation on a SparkPipeline's
// own namespace, names with commas between them, holds the namespace that it asks
// for. Names can carry identities of the cloud, so there are no patterns.
func NamespaceAllowed(list, namespace string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
		return strings.TrimSpace(name) == namespace
	})
}

// Overlap says why p must not run beside other: they would share a dedicated
// namespace or a checkpoint, and other came first. Empty when they do not.
func Overlap(p, other *v1alpha1.SparkPipeline) string {
	if p.UID == other.UID || !cameFirst(other, p) {
		return ""
	}
	who := fmt.Sprintf("SparkPipeline %s/%s", other.Namespace, other.Name)
	if p.Spec.Namespace != "" && workloadNamespace(p) == workloadNamespace(other) {
		return fmt.Sprintf("spec.namespace is %q; %s has its children there already", p.Spec.Namespace, who)
	}
	a, b := location(p), location(other)
	if a != "" && b != "" && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
		return fmt.Sprintf("spec.checkpoint.location is %q; %s has its checkpoint at %q", p.Spec.Checkpoint.Location, who, other.Spec.Checkpoint.Location)
	}
	return ""
}

// location ends in a slash, so that a prefix is a prefix of whole path elements.
func location(p *v1alpha1.SparkPipeline) string {
	if p.Spec.Checkpoint.Location == "" {
		return ""
	}
	return strings.TrimRight(p.Spec.Checkpoint.Location, "/") + "/"
}

// cameFirst orders pipelines by age, then by name.
func cameFirst(a, b *v1alpha1.SparkPipeline) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}
