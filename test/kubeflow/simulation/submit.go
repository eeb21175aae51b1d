// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// Submit is a simulated spark-submit: it takes its time, then makes the driver pod
// and its Service. Like kubeflow's webhook it refuses a driver whose application is
// no longer there.
func (c *Cluster) Submit(ctx context.Context, app *sparkapi.SparkApplication) error {
	key := client.ObjectKeyFromObject(app)
	if err := c.options.Pace.Wait(ctx, Step{Kind: Submit, App: key, Attempt: app.Status.SubmissionAttempts}); err != nil {
		return fmt.Errorf("failed to run spark-submit: %w", err)
	}
	current := &sparkapi.SparkApplication{}
	if err := c.live.Get(ctx, key, current); err != nil {
		return fmt.Errorf("failed to run spark-submit: admission of the driver pod: %w", err)
	}
	if current.UID != app.UID {
		return fmt.Errorf("failed to run spark-submit: admission of the driver pod: application %s is another one by now", app.Name)
	}
	r := &run{Run: spark.NewRun(app)}
	if err := r.Check(); err != nil {
		return fmt.Errorf("failed to run spark-submit: %w", err)
	}
	pod, err := r.Driver()
	if err != nil {
		return fmt.Errorf("failed to run spark-submit: %w", err)
	}
	if c.options.Node != "" {
		pod.Spec.NodeName = c.options.Node
	}
	c.mu.Lock()
	c.runs[r.ID] = r
	c.mu.Unlock()
	if err := c.client.Create(ctx, pod); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return spark.ErrDriverExists
		}
		return fmt.Errorf("failed to run spark-submit: %w", err)
	}
	if err := c.client.Create(ctx, r.DriverService(pod)); err != nil {
		// Like spark-submit it takes back a driver that it cannot equip.
		return fmt.Errorf("failed to run spark-submit: make the driver's Service: %w", errors.Join(err, c.client.Delete(ctx, pod)))
	}
	return nil
}
