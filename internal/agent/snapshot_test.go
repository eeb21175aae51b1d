// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/internal/snapshot"
)

// disk is an API server with a driver that snapshots at once.
type disk struct {
	made    []*volumesnapshotv1.VolumeSnapshot
	listErr error
	// cutting is called at the moment of the cut.
	cutting func()
	// said is the error in the status of each snapshot.
	said string
}

func (d *disk) Claim(_ context.Context, name string) (*corev1.PersistentVolumeClaim, error) {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "c"}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}, nil
}

func (d *disk) List(context.Context, map[string]string) (out []volumesnapshotv1.VolumeSnapshot, err error) {
	for _, s := range d.made {
		out = append(out, *s)
	}
	return out, d.listErr
}

func (d *disk) Get(_ context.Context, name string) (*volumesnapshotv1.VolumeSnapshot, error) {
	for _, s := range d.made {
		if s.Name == name {
			return s.DeepCopy(), nil
		}
	}
	return nil, apierrors.NewNotFound(volumesnapshotv1.Resource("volumesnapshots"), name)
}

func (d *disk) Make(_ context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error) {
	if d.cutting != nil {
		d.cutting()
	}
	kept := s.DeepCopy()
	kept.CreationTimestamp = metav1.Now()
	kept.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: snapshot.FieldManager, Operation: metav1.ManagedFieldsOperationApply}}
	kept.Status = &volumesnapshotv1.VolumeSnapshotStatus{ReadyToUse: new(true)}
	if d.said != "" {
		kept.Status = &volumesnapshotv1.VolumeSnapshotStatus{Error: &volumesnapshotv1.VolumeSnapshotError{Message: &d.said}}
	}
	d.made = append(d.made, kept)
	return kept.DeepCopy(), nil
}

func (d *disk) Update(_ context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error) {
	for _, kept := range d.made {
		if kept.Name == s.Name {
			kept.Annotations = maps.Clone(s.Annotations)
			return kept.DeepCopy(), nil
		}
	}
	return nil, apierrors.NewNotFound(volumesnapshotv1.Resource("volumesnapshots"), s.Name)
}

func (d *disk) Delete(_ context.Context, name string, _ types.UID) error {
	for i, s := range d.made {
		if s.Name == name {
			d.made = append(d.made[:i], d.made[i+1:]...)
			break
		}
	}
	return nil
}

// use has the command work on the disk, each run a second after the one before.
func (d *disk) use(a *agent) {
	a.snapshots = func(c *snapshotCommand) {
		c.api = func(namespace string) (snapshot.API, error) {
			if namespace != "shop-prod" {
				return nil, errors.New("in namespace " + namespace)
			}
			return d, nil
		}
		c.now = func() time.Time { return time.Now().Add(time.Duration(len(d.made)) * time.Second) }
		c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
}

// claimConfig is the configuration of a pipeline whose claim is mounted at root.
func claimConfig(t *testing.T, root string, queries ...string) string {
	t.Helper()
	var specs []map[string]string
	for _, q := range queries {
		specs = append(specs, map[string]string{"name": filepath.Base(q), "path": q})
	}
	text, err := json.Marshal(map[string]any{
		"pipeline":          map[string]string{"namespace": "shop", "name": "clicks", "uid": "0b5c"},
		"workloadNamespace": "shop-prod", "sparkVersion": "4.1.1", "root": root, "queries": specs, "claim": "clicks-checkpoint", "eventLogs": "/mnt/logs",
		"objectStore": map[string]any{}, "backup": map[string]any{"snapshot": map[string]string{"retention": "168h", "volumeSnapshotClassName": "csi"}},
	})
	path := filepath.Join(t.TempDir(), "pipeline.json")
	if err := errors.Join(err, os.WriteFile(path, text, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func takeSnapshot(t *testing.T, d *disk, args ...string) (ran, snapshotResult) {
	t.Helper()
	r := runAgent(t, d.use, append([]string{"snapshot", "-o", "json"}, args...)...)
	var got snapshotResult
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
	}
	return r, got
}

func TestSnapshotOfLiveRoots(t *testing.T) {
	root, d := mount(t), &disk{}
	r, got := takeSnapshot(t, d, "--config", claimConfig(t, root))
	if r.code != 0 || !got.Verified || len(got.Roots) != 2 || got.Level != 4 {
		t.Fatalf("code %d, %+v: %s", r.code, got, r.errOut)
	}
	agg, returns := got.Roots[1], got.Roots[0]
	if agg.Root != "orders" || agg.Batch != 5 || agg.Provider != "hdfs" || agg.QueryID != "99e24cd2-c458-472a-ac36-0986b9a6cd86" || agg.Files < 10 || !agg.Healthy ||
		returns.Root != "deep/returns" || returns.Batch != 4 || returns.Provider != "rocksdb" {
		t.Errorf("the roots are %+v", got.Roots)
	}
	s := d.made[0]
	if s.Labels["sparkpipeline.dev/pipeline"] != "clicks" || s.Labels["sparkpipeline.dev/pipeline-namespace"] != "shop" ||
		*s.Spec.Source.PersistentVolumeClaimName != "clicks-checkpoint" || *s.Spec.VolumeSnapshotClassName != "csi" || snapshot.Verified(s) == nil {
		t.Errorf("%+v", s)
	}
	if r.last.Command != "snapshot" || r.last.Code != 0 || r.last.Result == nil {
		t.Errorf("the termination message is %+v", r.last)
	}
	if text := runAgent(t, d.use, "snapshot", "--config", claimConfig(t, root)); !strings.Contains(text.out, ": verified.\n") || !strings.Contains(text.out, "deep/returns  4") {
		t.Errorf("printed %s", text.out)
	}
}

// What the query removes or writes again around the cut is not promised; new batches do
// no harm.
func TestSnapshotPromisesWhatIsHeld(t *testing.T) {
	for title, test := range map[string]struct {
		change func(root string) error
		says   string
	}{
		"a batch goes": {func(root string) error { return os.Remove(filepath.Join(root, "orders", "commits", "5")) }, "commits/5 was removed"},
		"a file is written again": {func(root string) error {
			now := time.Now()
			return os.Chtimes(filepath.Join(root, "orders", "offsets", "5"), now, now)
		}, "offsets/5 was written again"},
		"a new batch": {func(root string) error {
			return os.WriteFile(filepath.Join(root, "orders", "offsets", "6"), []byte("v1\n{"), 0o644)
		}, ""},
	} {
		t.Run(title, func(t *testing.T) {
			root := mount(t)
			d := &disk{cutting: func() {
				if err := test.change(root); err != nil {
					t.Fatal(err)
				}
			}}
			r, got := takeSnapshot(t, d, "--config", claimConfig(t, root))
			want := CodeFinding
			if test.says == "" {
				want = 0
			}
			if r.code != want || got.Verified != (want == 0) || !strings.Contains(r.errOut, test.says) || !got.Ready {
				t.Errorf("code %d, %+v: %s", r.code, got, r.errOut)
			}
		})
	}
}

// A root that is damaged or has lost something is copied all the same: it may be all
// that there is. It takes no verified snapshot's place.
func TestSnapshotOfBrokenRoots(t *testing.T) {
	for title, test := range map[string]struct {
		breakIt func(root string) error
		says    string
	}{
		"an empty commit": {func(root string) error { return os.Truncate(filepath.Join(root, "orders", "commits", "5"), 0) }, "it is damaged: commits/5"},
		"a root that went": {func(root string) error { return os.RemoveAll(filepath.Join(root, "orders")) },
			"query root orders is in the newest verified snapshot, but now it was not found: restore it, or let it go with --without orders"},
		"a state that went": {func(root string) error { return os.RemoveAll(filepath.Join(root, "orders", "state")) }, "orders"},
	} {
		t.Run(title, func(t *testing.T) {
			root, d := mount(t), &disk{}
			config := claimConfig(t, root)
			if r, _ := takeSnapshot(t, d, "--config", config); r.code != 0 {
				t.Fatal(r.errOut)
			}
			if err := test.breakIt(root); err != nil {
				t.Fatal(err)
			}
			r, got := takeSnapshot(t, d, "--config", config)
			if r.code != CodeFinding || got.Verified || !got.Ready || len(d.made) != 2 || !strings.Contains(r.errOut, test.says) {
				t.Errorf("code %d, %+v: %s", r.code, got, r.errOut)
			}
			if got.NewestVerified != d.made[0].Name {
				t.Errorf("the newest verified one is %q", got.NewestVerified)
			}
			if title == "a root that went" {
				if r, got := takeSnapshot(t, d, "--config", config, "--without", "orders"); r.code != 0 || !got.Verified {
					t.Errorf("--without: code %d, %s", r.code, r.errOut)
				}
			}
		})
	}
}

func TestSnapshotRefuses(t *testing.T) {
	root := mount(t)
	empty := t.TempDir()
	bucket := filepath.Join(t.TempDir(), "pipeline.json")
	if err := os.WriteFile(bucket, []byte(`{"pipeline":{"namespace":"shop","name":"clicks","uid":"u"},"workloadNamespace":"shop","sparkVersion":"4.1.1","root":"s3a://b/x","eventLogs":"/l","objectStore":{},"backup":{}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for title, test := range map[string]struct {
		disk disk
		args []string
		code int
		says string
	}{
		"no configuration":         {disk{}, nil, CodeUsage, "--config is missing"},
		"a checkpoint in a bucket": {disk{}, []string{"--config", bucket}, CodeUsage, "no volume to take a snapshot of"},
		"no such level":            {disk{}, []string{"--config", claimConfig(t, root), "--level", "7"}, CodeUsage, "--level is 7"},
		"no time":                  {disk{}, []string{"--config", claimConfig(t, root), "--within", "0s"}, CodeUsage, "--within is 0s"},
		"a claim that is not mounted": {disk{}, []string{"--config", claimConfig(t, root+"/nowhere")}, CodeNotCheckpoint,
			"claim clicks-checkpoint is not mounted"},
		"an empty volume":        {disk{}, []string{"--config", claimConfig(t, empty)}, CodeEmptyRoot, "is empty"},
		"a query that never ran": {disk{}, []string{"--config", claimConfig(t, empty, "orders")}, CodeEmptyRoot, "it does not exist"},
		"a storage without snapshots": {disk{said: "rpc error: code = Unimplemented"}, []string{"--config", claimConfig(t, root)}, CodeSnapshotCannot,
			"spec.backup.snapshot.state to Disabled"},
		"no class": {disk{said: "cannot find default snapshot class"}, []string{"--config", claimConfig(t, root)}, CodeSnapshotNoClass,
			"volumeSnapshotClassName"},
		"no API": {disk{listErr: &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound}}}, []string{"--config", claimConfig(t, root)},
			CodeSnapshotNoAPI, "external-snapshotter"},
		"no right": {disk{listErr: apierrors.NewForbidden(volumesnapshotv1.Resource("volumesnapshots"), "", errors.New("no"))},
			[]string{"--config", claimConfig(t, root)}, CodeSnapshotNotAllowed, "ClusterRole sparkpipeline-agent"},
		"no answer": {disk{listErr: errors.New("connection refused")}, []string{"--config", claimConfig(t, root)}, CodeSnapshotUnreachable, "connection refused"},
	} {
		t.Run(title, func(t *testing.T) {
			r, _ := takeSnapshot(t, &test.disk, test.args...)
			if r.code != test.code || !strings.Contains(r.errOut, test.says) || len(test.disk.made) != 0 || r.last.Code != test.code {
				t.Errorf("code %d, want %d; %s, want %q; made %v", r.code, test.code, r.errOut, test.says, test.disk.made)
			}
		})
	}
	seen := map[int]snapshot.Reason{}
	for reason, code := range codeOfSnapshot {
		if other, ok := seen[code]; ok || code < 60 || code > 69 {
			t.Errorf("%s and %s have the code %d", reason, other, code)
		}
		seen[code] = reason
	}
}

// A query that has not begun is no reason to leave the others without a snapshot.
func TestSnapshotNamesWhatIsAbsent(t *testing.T) {
	root, d := mount(t), &disk{}
	r, got := takeSnapshot(t, d, "--config", claimConfig(t, root, "orders", "later"))
	if r.code != 0 || !got.Verified || len(got.Roots) != 1 || got.Absent["later"] != "it does not exist" {
		t.Errorf("code %d, %+v: %s", r.code, got, r.errOut)
	}
}
