// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"slices"
	"time"
)

// MostQueries is how many roots of a pipeline are watched. An application that
// gives its queries no name makes a new root at every start.
const MostQueries = 64

// Watch is what is known of a pipeline. It is not safe for concurrent use.
type Watch struct {
	pace    Pace
	queries []*Query
	dropped int

	owner     *Owner
	foreign   string
	mounted   *Mounted
	points    *Points
	discovery string
}

// New watches the declared queries. More may be found later, if there are none.
func New(pace Pace, declared ...Declared) *Watch {
	w := &Watch{pace: pace}
	for _, d := range declared {
		w.queries = append(w.queries, NewQuery(d))
	}
	return w
}

// Queries that are watched, in the order of the spec or by path.
func (w *Watch) Queries() []*Query { return slices.Clone(w.queries) }

// Found takes the roots that were discovered. Those known stay with all that is
// known of them; those that are gone go.
func (w *Watch) Found(roots []Declared) {
	w.discovery = ""
	w.dropped = max(len(roots)-MostQueries, 0)
	var next []*Query
	for _, d := range roots[:len(roots)-w.dropped] {
		i := slices.IndexFunc(w.queries, func(q *Query) bool { return q.declared.Path == d.Path })
		if i >= 0 {
			next = append(next, w.queries[i])
		} else {
			next = append(next, NewQuery(d))
		}
	}
	w.queries = next
}

// NotFound takes a search for roots that failed.
func (w *Watch) NotFound(err error) { w.discovery = err.Error() }

// Owned takes the record of whose the checkpoint is; nil: there is none. foreign
// says why it is not the pipeline's; empty: it is.
func (w *Watch) Owned(o *Owner, foreign string) { w.owner, w.foreign = o, foreign }

// Digested takes the digests of what is mounted.
func (w *Watch) Digested(m Mounted) { w.mounted = &m }

// Pointed takes a listing of recovery points. Of a failed one only its error counts.
func (w *Watch) Pointed(p Points) {
	if p.Error != "" && w.points != nil {
		kept := *w.points
		kept.Error = p.Error
		p = kept
	}
	w.points = &p
}

// Problems of the pipeline and its queries.
func (w *Watch) Problems(now time.Time) []Problem {
	out := []Problem{}
	if w.foreign != "" {
		out = append(out, Problem{Reason: ReasonOtherOwner, Message: w.foreign})
	}
	if len(w.queries) == 0 {
		message := "there is no query root yet"
		if w.discovery != "" {
			message = w.discovery
		}
		out = append(out, Problem{Reason: ReasonNoQuery, Message: message})
	}
	for _, q := range w.queries {
		out = append(out, q.problems(now, w.pace)...)
	}
	return out
}

// Status of the pipeline.
func (w *Watch) Status(now time.Time) Status {
	s := Status{FormatVersion: FormatVersion, At: now.UTC(), Problems: w.Problems(now), Owner: clone(w.owner),
		Queries: []QueryStatus{}, Dropped: w.dropped, Mounted: clone(w.mounted), Points: clone(w.points)}
	s.Ready, s.Progress = len(s.Problems) == 0, w.Progress(now)
	for _, q := range w.queries {
		s.Queries = append(s.Queries, q.Status(now))
	}
	return s
}

// Foreign says why a record in a checkpoint is of another owner than the pipeline
// of that namespace and name; empty: it is not. before is an earlier record.
func Foreign(o, before *Owner, namespace, name string) string {
	switch {
	case o == nil:
		return ""
	case o.Namespace != namespace || o.Name != name:
		return fmt.Sprintf("the checkpoint belongs to pipeline %s/%s", o.Namespace, o.Name)
	case before != nil && o.Epoch > before.Epoch && o.UID != before.UID:
		return fmt.Sprintf("the checkpoint was taken over at epoch %d by a pipeline of the same name", o.Epoch)
	}
	return ""
}

// Pace of the looks.
func (w *Watch) Pace() Pace { return w.pace }
