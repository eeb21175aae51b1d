// SPDX-License-Identifier: Apache-2.0

package desired

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete

// revision keeps the last rendering of the application that was healthy, for a
// rollback to it. Its data cannot change, so each rendering has its own name, and
// the one before is pruned.
func revision(in Input) ([]Object, error) {
	if in.Facts.HealthyRendering == nil {
		return nil, nil
	}
	r := &appsv1.ControllerRevision{ObjectMeta: named(in, "r-"+in.Facts.HealthyDigest[:8]), Revision: in.Facts.HealthyGeneration,
		Data: runtime.RawExtension{Raw: in.Facts.HealthyRendering}}
	return []Object{r}, nil
}
