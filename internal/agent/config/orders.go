// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"

	"sigs.k8s.io/json"
)

// OrdersFile is where the driver's pod finds the orders of its guard.
const OrdersFile = "/etc/sparkpipeline/guard/orders.json"

// Orders are what the operator demands of a checkpoint before a driver starts. They
// are in the ConfigMap <pipeline>-guard, so that they are current whenever a pod is
// made, also for retries that the operator does not know of.
type Orders struct {
	Pipeline Identity `json:"pipeline"`
	// Epoch of the owner. A root that records a higher one belongs to somebody
	// who has taken it over.
	Epoch int64 `json:"epoch,omitempty"`
	// Roots that have been seen with a committed batch: path below the
	// checkpoint's place -> the newest batch seen. None of them may be empty or
	// older.
	Roots map[string]int64 `json:"roots,omitempty"`
	// Reset is the start permit of somebody who has accepted the loss of the
	// state: what the checkpoint itself remembers does not count either.
	Reset bool `json:"reset,omitempty"`
	// MountPath at which a volume must be mounted. Empty: the state lives in a
	// bucket.
	MountPath string `json:"mountPath,omitempty"`
	// PodSelector of the pods of all submissions of the pipeline.
	PodSelector string `json:"podSelector,omitempty"`
}

// ParseOrders reads Orders.
func ParseOrders(text []byte) (*Orders, error) {
	var o Orders
	strict, err := json.UnmarshalStrict(text, &o)
	if err != nil {
		return nil, fmt.Errorf("orders of the guard: %w", err)
	}
	if err := errors.Join(strict...); err != nil {
		return nil, fmt.Errorf("orders of the guard: %w", err)
	}
	if o.Pipeline.Namespace == "" || o.Pipeline.Name == "" {
		return nil, errors.New("orders of the guard: pipeline.namespace or pipeline.name is empty; values are required")
	}
	return &o, nil
}
