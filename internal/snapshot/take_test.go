// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTakeSaysWhatIsInTheSnapshot(t *testing.T) {
	m := newMemory()
	taker := m.taker()
	taker.Class = "csi-fast"
	r, err := taker.Take(t.Context())
	if err != nil || !r.Ready || !r.Verified || r.Class != "csi-fast" || r.NewestVerified != r.Name || r.ReadySeconds <= r.CutSeconds {
		t.Fatalf("%+v, %v", r, err)
	}
	s := m.there["orders-20260504-120000"]
	if s == nil || len(m.there) != 1 {
		t.Fatalf("there are %v", m.names())
	}
	note := Verified(s)
	if note == nil || note.Level != 4 || note.ClaimUID != "claim-1" || note.PipelineUID != "p-1" || len(note.Roots) != 1 ||
		note.Roots[0].Root != "agg" || note.Roots[0].Batch != 7 || note.JudgedAt != noon || !note.HeldAt.After(noon) {
		t.Errorf("the note is %s", s.Annotations[AnnotationNote])
	}
	if *s.Spec.Source.PersistentVolumeClaimName != "orders-checkpoint" || len(s.OwnerReferences) != 0 || !Ours(s, labels) ||
		s.Annotations["argocd.argoproj.io/sync-options"] != "Prune=false,Delete=false" || s.Annotations["kustomize.toolkit.fluxcd.io/prune"] != "disabled" {
		t.Errorf("%+v", s)
	}
	// What is promised is judged and written out before the cut, and looked for again
	// after it, before the wait for the upload.
	want := "claim list look flush make get get held note get get list"
	if got := strings.Join(m.calls, " "); got != want {
		t.Errorf("the calls are %q, want %q", got, want)
	}
}

func TestNoClassLeavesTheChoiceToTheCluster(t *testing.T) {
	m := newMemory()
	m.act = func(s *volumesnapshotv1.VolumeSnapshot, looks int) {
		s.Spec.VolumeSnapshotClassName = new("its-default")
		soon(s, looks)
	}
	r, err := m.taker().Take(t.Context())
	if err != nil || r.Class != "its-default" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTakeRefuses(t *testing.T) {
	for title, test := range map[string]struct {
		change func(*memory)
		reason Reason
		says   string
		// leaves a snapshot.
		leaves bool
	}{
		"no claim":             {func(m *memory) { m.claim = nil }, ClaimUnusable, "claim orders-checkpoint is not there", false},
		"a claim without disk": {func(m *memory) { m.claim.Status.Phase = corev1.ClaimPending }, ClaimUnusable, "is Pending, not Bound", false},
		"a lost volume":        {func(m *memory) { m.claim.Status.Phase = corev1.ClaimLost }, ClaimUnusable, "is lost: restore", false},
		"a claim that is going": {func(m *memory) { m.claim.DeletionTimestamp = &metav1.Time{Time: noon} }, ClaimUnusable,
			"is being deleted", false},
		"no API": {func(m *memory) {
			m.fault = at("list", &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"}})
		},
			NoAPI, "install the CRDs and the controller", false},
		"no right to list": {func(m *memory) { m.fault = at("list", apierrors.NewForbidden(resource, "", errors.New("no"))) }, NotAllowed, "sparkpipeline-agent", false},
		"a quota": {func(m *memory) {
			m.fault = at("make", apierrors.NewForbidden(resource, "x", errors.New("exceeded quota")))
		}, NotAllowed, "exceeded quota", false},
		"a class that is not known": {func(m *memory) {
			m.act = failing(`Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io "csi" not found`)
		},
			NoClass, "correct spec.backup.snapshot.volumeSnapshotClassName", false},
		"no default class": {func(m *memory) {
			m.act = failing("Failed to set default snapshot class with error cannot find default snapshot class")
		},
			NoClass, "is-default-class=true", false},
		"two default classes": {func(m *memory) {
			m.act = failing("Failed to set default snapshot class with error 2 default snapshot classes were found")
		},
			NoClass, "more than one", false},
		"no CSI volume": {func(m *memory) {
			m.act = failing("Failed to set default snapshot class with error snapshotting non-CSI volumes is not supported, snapshot:data/x")
		},
			CannotSnapshot, "storage class fast, provisioner disk.csi.example.com) cannot be snapshotted", false},
		"no CSI volume, with a class": {func(m *memory) {
			m.act = failing("Failed to create snapshot content with error cannot find CSI PersistentVolumeSource for volume pv-1")
		},
			CannotSnapshot, "move the checkpoint to a storage class", false},
		"a driver without snapshots": {func(m *memory) {
			m.act = failing("Failed to check and update snapshot content: rpc error: code = Unimplemented desc = ")
		},
			CannotSnapshot, "spec.backup.snapshot.state to Disabled", false},
		"a driver that fails":   {func(m *memory) { m.act = failing("rpc error: code = Internal desc = disk on fire") }, Failed, "disk on fire", false},
		"nobody who acts":       {func(m *memory) { m.act = never }, NoController, "install the controller", false},
		"a slow driver":         {func(m *memory) { m.act = func(s *volumesnapshotv1.VolumeSnapshot, _ int) { cut(s) } }, Slow, "it stays", true},
		"deleted meanwhile":     {func(m *memory) { m.act = func(s *volumesnapshotv1.VolumeSnapshot, _ int) { delete(m.there, s.Name) } }, Gone, "deleted or replaced", false},
		"replaced meanwhile":    {func(m *memory) { m.act = func(s *volumesnapshotv1.VolumeSnapshot, _ int) { s.UID = "another" } }, Gone, "deleted or replaced", true},
		"an API server in need": {func(m *memory) { m.fault = at("list", apierrors.NewInternalError(errors.New("etcd"))) }, Unreachable, "did not answer", false},
		"an API server that is gone for good": {func(m *memory) { m.fault = at("make", errors.New("connection refused")) }, Unreachable,
			"connection refused", false},
	} {
		t.Run(title, func(t *testing.T) {
			m := newMemory()
			test.change(m)
			_, err := m.taker().Take(t.Context())
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || refusal.Reason != test.reason || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v; want %s and %q", err, test.reason, test.says)
			}
			if left := len(m.there) > 0; left != test.leaves {
				t.Errorf("left %v", m.names())
			}
			if took := m.now.Sub(noon); took > 31*time.Minute {
				t.Errorf("it took %s", took)
			}
			if hopeless := test.reason == NoClass || test.reason == CannotSnapshot; hopeless && m.now.Sub(noon) > time.Second {
				t.Errorf("it waited %s for what does not come", m.now.Sub(noon))
			}
		})
	}
}

// at answers one kind of call with an error.
func at(call string, err error) func(string, bool) error {
	return func(name string, done bool) error {
		if name == call && !done {
			return err
		}
		return nil
	}
}

// An API server that is away for a while is waited for, and what a driver fails at
// first and then does counts.
func TestTakeOutlivesWhatPasses(t *testing.T) {
	for _, call := range []string{"get", "make", "note"} {
		m := newMemory()
		left := 3
		m.fault = func(name string, done bool) error {
			if name == call && !done && left > 0 {
				left--
				return apierrors.NewTooManyRequests("slow down", 1)
			}
			return nil
		}
		if r, err := m.taker().Take(t.Context()); err != nil || !r.Verified || left != 0 || len(m.there) != 1 {
			t.Errorf("%s: %+v, %v", call, r, err)
		}
	}
	m := newMemory()
	m.act = func(s *volumesnapshotv1.VolumeSnapshot, looks int) {
		if looks < 3 {
			failing("rpc error: code = DeadlineExceeded")(s, looks)
			return
		}
		s.Status.Error = nil
		soon(s, looks)
	}
	if r, err := m.taker().Take(t.Context()); err != nil || !r.Verified {
		t.Errorf("%+v, %v", r, err)
	}
}

// A snapshot that was made counts though the answer was lost, and one of a run of the
// same second is another.
func TestMakeKnowsItsOwn(t *testing.T) {
	m := newMemory()
	m.fault = func(name string, done bool) error {
		if name == "make" && done {
			m.fault = nil
			return errors.New("connection reset")
		}
		return nil
	}
	if r, err := m.taker().Take(t.Context()); err != nil || !r.Verified || !slices.Equal(m.names(), []string{"orders-20260504-120000"}) {
		t.Errorf("%+v, %v: there are %v", r, err, m.names())
	}
	m = newMemory()
	m.add(t, "orders-20260504-120000", 0, "verified")
	if r, err := m.taker().Take(t.Context()); err != nil || r.Name != "orders-20260504-120000-2" || len(m.there) != 2 {
		t.Errorf("%+v, %v: there are %v", r, err, m.names())
	}
}

func TestWhatIsNotHeldIsNotVerified(t *testing.T) {
	for title, change := range map[string]func(*Look){
		"a file that went": func(l *Look) {
			l.Held = func(context.Context) (string, error) { return "commits/7 was removed while the snapshot was made", nil }
		},
		"a damaged root": func(l *Look) { l.Problem = "query root agg: it is damaged" },
	} {
		t.Run(title, func(t *testing.T) {
			m := newMemory()
			old := m.add(t, "old", 1000*time.Hour, "verified")
			taker := m.taker()
			look := taker.Look
			taker.Look = func(ctx context.Context, before []Root) (*Look, error) {
				if len(before) != 1 || before[0].Batch != 3 {
					t.Errorf("before is %+v", before)
				}
				l, err := look(ctx, before)
				change(l)
				return l, err
			}
			r, err := taker.Take(t.Context())
			if !errors.Is(err, ErrNotVerified) || r.Verified || !r.Ready || r.Problem == "" || !strings.Contains(err.Error(), r.Problem) {
				t.Errorf("%+v, %v", r, err)
			}
			if r.HeldAt.IsZero() != (title == "a file that went") {
				t.Errorf("held at %s", r.HeldAt)
			}
			if r.NewestVerified != "old" || m.there["old"] != old || Verified(m.there[r.Name]) != nil {
				t.Errorf("the newest verified one is %q of %v", r.NewestVerified, m.names())
			}
		})
	}
}

func TestRootsThatCannotBeLookedAt(t *testing.T) {
	m := newMemory()
	taker := m.taker()
	taker.Look = func(context.Context, []Root) (*Look, error) { return nil, errors.New("stale file handle") }
	if r, err := taker.Take(t.Context()); r != nil || err == nil || len(m.there) != 0 {
		t.Errorf("%+v, %v: a snapshot was made of what nobody has judged", r, err)
	}
	taker = m.taker()
	taker.Flush = func() error { return errors.New("input/output error") }
	if r, err := taker.Take(t.Context()); r != nil || err == nil || len(m.there) != 0 {
		t.Errorf("%+v, %v: a snapshot was made of what is not on the volume", r, err)
	}
}

// A run that dies at any call, before it is done or after it, leaves what a next run
// goes on with: the newest verified snapshot is there at every moment, nobody else's is
// touched, and in the end what is too old is gone.
func TestCrashAtAnyCall(t *testing.T) {
	crashed := errors.New("crashed")
	begin := func(t *testing.T) (*memory, []string) {
		m := newMemory()
		m.add(t, "ancient", 3000*time.Hour, "verified")
		m.add(t, "verified", 1000*time.Hour, "verified")
		m.add(t, "stuck", 900*time.Hour, "unready")
		m.add(t, "theirs", 2000*time.Hour, "foreign")
		m.add(t, "of-returns", 2000*time.Hour, "other")
		return m, []string{"of-returns", "theirs"}
	}
	m, _ := begin(t)
	if _, err := m.taker().Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range m.calls {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s %v", n, m.calls[n], after), func(t *testing.T) {
				m, foreign := begin(t)
				ctx, cancel := context.WithCancel(t.Context())
				m.fault = func(_ string, done bool) error {
					if ctx.Err() != nil || len(m.calls) > n && done == after {
						cancel()
						return crashed
					}
					return nil
				}
				first, err := m.taker().Take(ctx)
				if ctx.Err() != nil && err == nil {
					t.Errorf("a crash went unnoticed: %+v", first)
				}
				cancel()
				for _, s := range m.there { // What was begun becomes ready without us.
					if s.Status == nil {
						soon(s, 9)
						if Verified(s) != nil {
							t.Errorf("%s counts, and nobody has looked again: %v", s.Name, m.calls)
						}
					}
				}
				if newest(m) == nil {
					t.Errorf("no verified snapshot is left: %v", m.names())
				}
				m.fault, m.now = nil, m.now.Add(time.Minute)
				r, err := m.taker().Take(t.Context())
				if err != nil || !r.Verified || newest(m).Name != r.Name {
					t.Fatalf("the next run: %+v, %v", r, err)
				}
				for _, name := range []string{"ancient", "verified", "stuck"} {
					if m.there[name] != nil {
						t.Errorf("%s is too old and is left", name)
					}
				}
				for _, name := range foreign {
					if m.there[name] == nil {
						t.Errorf("%s was removed", name)
					}
				}
			})
		}
	}
}

// newest is the newest verified snapshot of the pipeline.
func newest(m *memory) *volumesnapshotv1.VolumeSnapshot {
	var mine []volumesnapshotv1.VolumeSnapshot
	for _, name := range m.names() {
		if s := m.there[name]; Ours(s, labels) {
			mine = append(mine, *s)
		}
	}
	return Retain(mine, m.now, 0).Newest
}
