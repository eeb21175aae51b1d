// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// burst is how many repairs of one child may follow each other at once. After them
// there is one each Patience: somebody who writes a value of ours again whenever it
// was repaired must not make the two of us a load on the API server.
const burst = 10

// pace counts the repairs of a child that may still come at once.
type pace struct {
	left float64
	at   time.Time
}

// mayRepair takes a repair of a child from what its pace allows. A repair that
// fails is given back with failed.
func (e *Engine) mayRepair(o *unstructured.Unstructured) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.Clock.Now()
	p, ok := e.repairs[keyOf(o)]
	if !ok {
		p = pace{burst, now}
		e.sweepPaces(now)
	}
	p.left = min(burst, p.left+now.Sub(p.at).Seconds()/Patience.Seconds())
	p.at = now
	may := p.left >= 1
	if may {
		p.left--
	}
	e.repairs[keyOf(o)] = p
	return may
}

// repairFailed gives a repair back: a failure is told of and has a pace of its own.
func (e *Engine) repairFailed(o *unstructured.Unstructured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.repairs[keyOf(o)]; ok {
		p.left++
		e.repairs[keyOf(o)] = p
	}
}

// sweepPaces forgets children that nobody has touched for long, each time that
// twice as many are known.
func (e *Engine) sweepPaces(now time.Time) {
	if len(e.repairs) < e.sweepAt {
		return
	}
	maps.DeleteFunc(e.repairs, func(_ key, p pace) bool { return now.Sub(p.at) >= burst*Patience })
	e.sweepAt = 2*len(e.repairs) + 1024
}
