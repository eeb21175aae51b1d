// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkNames is what Kubernetes says of labels or annotations as an *InvalidError
// of the spec's field; nil when it takes them.
func checkNames(of string, found field.ErrorList) error {
	if len(found) == 0 {
		return nil
	}
	return &InvalidError{Field: of, Found: fmt.Sprintf("%q", fmt.Sprint(found[0].BadValue)), Allowed: found[0].Detail}
}
