// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// API is what a snapshot needs of the cluster, in one namespace. Errors are those
// of the API server.
type API interface {
	Claim(ctx context.Context, name string) (*corev1.PersistentVolumeClaim, error)
	// List returns the snapshots with the labels.
	List(ctx context.Context, labels map[string]string) ([]volumesnapshotv1.VolumeSnapshot, error)
	Get(ctx context.Context, name string) (*volumesnapshotv1.VolumeSnapshot, error)
	// Make makes a snapshot, and never changes one that is there: that is a conflict.
	Make(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error)
	// Update writes labels and annotations of the snapshot with that UID.
	Update(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error)
	// Delete deletes the snapshot if it still has that UID.
	Delete(ctx context.Context, name string, uid types.UID) error
}

// Look is a judgement of the live roots of a pipeline.
type Look struct {
	Level int
	Roots []Root
	// Problem is why a snapshot of them is not to be relied on; empty: nothing.
	Problem string
	// Held looks again, after the cut. It answers with what has changed of the files
	// that the batches of Roots need, or has come to be wrong; empty: nothing.
	Held func(ctx context.Context) (string, error)
}

// Stage of a run, for progress.
type Stage string

// Stages.
const (
	StageJudge  Stage = "judge"
	StageCut    Stage = "cut"
	StageUpload Stage = "upload"
)

// Taker takes one snapshot.
type Taker struct {
	API API
	// Labels of the pipeline's children. PipelineUID of the pipeline.
	Labels      map[string]string
	PipelineUID string
	// Prefix of the snapshot's name.
	Prefix string
	// Claim to take a snapshot of, and the VolumeSnapshotClass; empty: the driver's
	// default.
	Claim, Class string
	// KeepFor is the age up to which snapshots stay; 0: all do.
	KeepFor time.Duration
	// Within is how long the snapshot may take until it is ready.
	Within time.Duration
	// Look judges the live roots. before are those of the newest verified snapshot.
	Look func(ctx context.Context, before []Root) (*Look, error)
	// Flush has the operating system write out what the volume has not got yet.
	Flush func() error
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Report is told what is waited for.
	Report func(stage Stage, elapsed time.Duration)
}

// Result of a run.
type Result struct {
	Name  string `json:"name"`
	Claim string `json:"claim"`
	Class string `json:"class,omitempty"`
	// Verified: the snapshot is ready and every root in it was found whole.
	Verified bool `json:"verified"`
	Ready    bool `json:"ready"`
	Note
	// CutSeconds and ReadySeconds are from the request on.
	CutSeconds   float64 `json:"cutSeconds"`
	ReadySeconds float64 `json:"readySeconds"`
	// RestoreSize in bytes is how large a volume made of it is at least.
	RestoreSize int64 `json:"restoreSize,omitempty"`
	// Removed snapshots were too old. NewestVerified stays.
	Removed        []string `json:"removed"`
	NewestVerified string   `json:"newestVerified,omitempty"`
}

// ErrNotVerified says that there is a snapshot and that it is not to be relied on.
var ErrNotVerified = errors.New("the snapshot does not count as verified")

// Take takes a snapshot, writes on it what is in it, waits until it is ready, and
// removes old ones. The error is a *Refusal when there is no snapshot, and wraps
// ErrNotVerified when there is one that is not to be relied on. The result is nil
// when nothing was made.
func (t *Taker) Take(ctx context.Context) (*Result, error) {
	claim, err := t.API.Claim(ctx, t.Claim)
	if apierrors.IsNotFound(err) {
		return nil, refuse(ClaimUnusable, err, "claim %s is not there: restore the checkpoint", t.Claim)
	}
	if err != nil {
		return nil, ofAPI(err, "look at claim "+t.Claim)
	}
	if err := claimUsable(claim); err != nil {
		return nil, err
	}
	mine, err := t.mine(ctx)
	if err != nil {
		return nil, err
	}
	note, look, err := t.judge(ctx, mine, claim)
	if err != nil {
		return nil, err
	}
	began := t.Now()
	made, err := t.make(ctx, note)
	if err != nil {
		return nil, err
	}
	r := &Result{Name: made.Name, Claim: t.Claim, Note: *note, Removed: []string{}}
	err = t.finish(ctx, made, claim, look, began, r)
	if err != nil && !r.Ready {
		return r, err
	}
	return r, errors.Join(err, t.retain(ctx, r))
}

// mine are the snapshots that the agent made for the pipeline.
func (t *Taker) mine(ctx context.Context) ([]volumesnapshotv1.VolumeSnapshot, error) {
	all, err := t.API.List(ctx, t.Labels)
	if err != nil {
		return nil, ofAPI(err, "list the snapshots of the pipeline")
	}
	var out []volumesnapshotv1.VolumeSnapshot
	for _, s := range all {
		if Ours(&s, t.Labels) {
			out = append(out, s)
		}
	}
	return out, nil
}

// judge looks at the live roots and has them written out: what is in the node's
// memory alone would not be in the snapshot.
func (t *Taker) judge(ctx context.Context, mine []volumesnapshotv1.VolumeSnapshot, claim *corev1.PersistentVolumeClaim) (*Note, *Look, error) {
	var before []Root
	if newest := Retain(mine, t.Now(), 0).Newest; newest != nil {
		before = Verified(newest).Roots
	}
	t.Report(StageJudge, 0)
	look, err := t.Look(ctx, before)
	if err != nil {
		return nil, nil, err
	}
	if err := t.Flush(); err != nil {
		return nil, nil, fmt.Errorf("write the volume of claim %s out: %w", t.Claim, err)
	}
	return &Note{Format: noteFormat, PipelineUID: t.PipelineUID, ClaimUID: string(claim.UID), JudgedAt: t.Now().UTC(),
		Level: look.Level, Roots: look.Roots, Problem: look.Problem}, look, nil
}

// pace of tries and looks.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
	makeTries  = 5
)

// object is all that the agent says of a snapshot.
func (t *Taker) object(note *Note) (*volumesnapshotv1.VolumeSnapshot, error) {
	text, err := note.encode()
	if err != nil {
		return nil, err
	}
	s := &volumesnapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Labels: t.Labels, Annotations: map[string]string{
		AnnotationNote: text,
		// A snapshot holds data: GitOps is to leave it alone.
		"argocd.argoproj.io/sync-options": "Prune=false,Delete=false", "kustomize.toolkit.fluxcd.io/prune": "disabled",
	}}}
	s.Spec.Source.PersistentVolumeClaimName = &t.Claim
	if t.Class != "" {
		s.Spec.VolumeSnapshotClassName = &t.Class
	}
	return s, nil
}

// make makes the snapshot. The name is of the second, so a run that lost the answer
// finds what it made, by its note, and one that runs beside it takes another name.
func (t *Taker) make(ctx context.Context, note *Note) (*volumesnapshotv1.VolumeSnapshot, error) {
	s, err := t.object(note)
	if err != nil {
		return nil, err
	}
	text := s.Annotations[AnnotationNote]
	base := t.Prefix + note.JudgedAt.Format("20060102-150405")
	pause := firstPause
	for try, others := 1, 1; ; try++ {
		s.Name = base
		if others > 1 {
			s.Name = fmt.Sprintf("%s-%d", base, others)
		}
		made, err := t.API.Make(ctx, s)
		if err == nil {
			return made, nil
		}
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			found, getErr := t.API.Get(ctx, s.Name)
			if getErr == nil && found.Annotations[AnnotationNote] == text && Ours(found, t.Labels) {
				return found, nil
			}
			if getErr == nil {
				others++
			}
		} else if err = ofAPI(err, "make snapshot "+s.Name+" of claim "+t.Claim); !passing(err) {
			return nil, err
		}
		if try == makeTries {
			return nil, err
		}
		if err := t.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// finish follows a snapshot until it is ready. As soon as its content is fixed, and
// not only when it is ready, which may take an hour, the roots are looked at again.
func (t *Taker) finish(ctx context.Context, made *volumesnapshotv1.VolumeSnapshot, claim *corev1.PersistentVolumeClaim, look *Look, began time.Time, r *Result) error {
	cut, err := t.await(ctx, made, claim, StageCut, began, cutTaken)
	if err != nil {
		return t.discard(ctx, made, err)
	}
	r.CutSeconds = t.Now().Sub(began).Seconds()
	changed, err := look.Held(ctx)
	if err != nil {
		return fmt.Errorf("snapshot %s was made, but the roots could not be looked at again: %w", made.Name, err)
	}
	if changed == "" {
		r.HeldAt = t.Now().UTC()
	}
	r.Problem = strings.Join(filled(r.Problem, changed), "; ")
	if cut, err = t.annotate(ctx, cut, &r.Note); err != nil {
		return err
	}
	done, err := t.await(ctx, cut, claim, StageUpload, began, ready)
	if err != nil {
		return t.discard(ctx, made, err)
	}
	r.Ready, r.ReadySeconds, r.Verified = true, t.Now().Sub(began).Seconds(), Verified(done) != nil
	if done.Spec.VolumeSnapshotClassName != nil {
		r.Class = *done.Spec.VolumeSnapshotClassName
	}
	if done.Status.RestoreSize != nil {
		r.RestoreSize = done.Status.RestoreSize.Value()
	}
	if !r.Verified {
		return fmt.Errorf("snapshot %s is ready, but %w: %s", made.Name, ErrNotVerified, first(r.Problem, "its note was changed"))
	}
	return nil
}

// discard removes a snapshot that failed for good, so that the next runs do not heap
// up more of them. One that is only slow stays.
func (t *Taker) discard(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot, cause error) error {
	r, ok := errors.AsType[*Refusal](cause)
	if !ok {
		return cause
	}
	switch r.Reason {
	case CannotSnapshot, NoClass, ClaimUnusable, Failed, NoController:
		if err := t.API.Delete(ctx, s.Name, s.UID); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return errors.Join(cause, ofAPI(err, "remove the failed snapshot "+s.Name))
		}
	}
	return cause
}

// retain applies the retention to what the API server has now.
func (t *Taker) retain(ctx context.Context, r *Result) error {
	mine, err := t.mine(ctx)
	if err != nil {
		return err
	}
	kept := Retain(mine, t.Now(), t.KeepFor)
	if kept.Newest != nil {
		r.NewestVerified = kept.Newest.Name
	}
	var errs []error
	for _, s := range kept.Expired {
		err := t.API.Delete(ctx, s.Name, s.UID)
		switch {
		case err == nil:
			r.Removed = append(r.Removed, s.Name)
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // It has gone, or another has its name.
		default:
			errs = append(errs, ofAPI(err, "remove the old snapshot "+s.Name))
		}
	}
	return errors.Join(errs...)
}

func filled(texts ...string) []string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}

func first(texts ...string) string {
	for _, text := range filled(texts...) {
		return text
	}
	return ""
}
