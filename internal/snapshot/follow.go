// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// annotate writes the note again.
func (t *Taker) annotate(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot, note *Note) (*volumesnapshotv1.VolumeSnapshot, error) {
	next, err := t.object(note)
	if err != nil {
		return nil, err
	}
	next.Name, next.UID = s.Name, s.UID
	pause := firstPause
	for try := 1; ; try++ {
		written, err := t.API.Update(ctx, next)
		switch {
		case err == nil:
			return written, nil
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			return nil, refuse(Gone, err, "snapshot %s was deleted or replaced while it was made", s.Name)
		}
		if err = ofAPI(err, "write on snapshot "+s.Name+" what is in it"); !passing(err) || try == makeTries {
			return nil, err
		}
		if err := t.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// await looks at a snapshot until it is as wanted.
func (t *Taker) await(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot, claim *corev1.PersistentVolumeClaim, stage Stage, began time.Time, wanted func(*volumesnapshotv1.VolumeSnapshot) bool) (*volumesnapshotv1.VolumeSnapshot, error) {
	seen, last := s, error(nil)
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		found, err := t.API.Get(ctx, s.Name)
		if err != nil {
			err = ofAPI(err, "look at snapshot "+s.Name)
		}
		switch {
		case err == nil && found.UID == s.UID && found.DeletionTimestamp == nil:
			seen, last = found, nil
		case passing(err):
			last = err
		case err == nil, apierrors.IsNotFound(err):
			return nil, refuse(Gone, err, "snapshot %s was deleted or replaced while it was made", s.Name)
		default:
			return nil, err
		}
		if wanted(seen) {
			return seen, nil
		}
		message := problem(seen)
		if err := hopelessness(message, claim); err != nil {
			return nil, err
		}
		elapsed := t.Now().Sub(began)
		if elapsed >= t.Within {
			return nil, t.late(seen, message, last)
		}
		t.Report(stage, elapsed)
		if err := t.Sleep(ctx, min(pause, t.Within-elapsed)); err != nil {
			return nil, err
		}
	}
}

// late explains why a snapshot is not ready in time.
func (t *Taker) late(s *volumesnapshotv1.VolumeSnapshot, message string, last error) error {
	switch {
	case last != nil:
		return last
	case message != "":
		return refuse(Failed, errors.New(message), "snapshot %s of claim %s failed, again and again for %s: look at the CSI driver", s.Name, t.Claim, t.Within)
	case s.Status == nil || s.Status.BoundVolumeSnapshotContentName == nil:
		return refuse(NoController, nil, "nobody acted on snapshot %s for %s: install the controller of external-snapshotter, %s", s.Name, t.Within, orDisable)
	default:
		return refuse(Slow, nil, "snapshot %s is not ready after %s; it stays, and counts once it is: look at the sidecar csi-snapshotter of the CSI driver, or give it more time", s.Name, t.Within)
	}
}

// problem is the error in the status of a snapshot.
func problem(s *volumesnapshotv1.VolumeSnapshot) string {
	if s.Status == nil || s.Status.Error == nil {
		return ""
	}
	if s.Status.Error.Message == nil || *s.Status.Error.Message == "" {
		return "the CSI driver gave no reason"
	}
	return *s.Status.Error.Message
}
