// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/test/e2e/world"
)

// inParallel calls f for 0 to n-1, a few side by side, until one fails.
func inParallel(ctx context.Context, width, n int, f func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(width)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// await looks again and again until look has no complaint.
func await(ctx context.Context, within time.Duration, what string, look func() error) error {
	return world.Eventually(ctx, within, what, look)
}
