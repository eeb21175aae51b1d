// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Reason tells apart why there is no snapshot.
type Reason string

// Reasons.
const (
	// NoAPI: the cluster does not serve snapshot.storage.k8s.io/v1.
	NoAPI Reason = "NoAPI"
	// NotAllowed: rights, a quota or a webhook are against it.
	NotAllowed Reason = "NotAllowed"
	// ClaimUnusable: the claim is missing, not bound, lost or being deleted.
	ClaimUnusable Reason = "ClaimUnusable"
	// CannotSnapshot: the storage of the claim does not have snapshots.
	CannotSnapshot Reason = "CannotSnapshot"
	// NoClass: no VolumeSnapshotClass, or more than one, is meant.
	NoClass Reason = "NoClass"
	// Failed: the storage driver tried and could not.
	Failed Reason = "Failed"
	// Slow: the snapshot was begun and is not ready in time. It may still become so.
	Slow Reason = "Slow"
	// NoController: nobody acts on VolumeSnapshots.
	NoController Reason = "NoController"
	// Gone: somebody deleted the snapshot while it was waited for.
	Gone Reason = "Gone"
	// Unreachable: the API server does not answer.
	Unreachable Reason = "Unreachable"
)

// Refusal says why there is no snapshot and what would help.
type Refusal struct {
	Reason  Reason
	Message string
	Err     error
}

func (r *Refusal) Error() string {
	if r.Err == nil {
		return r.Message
	}
	return r.Message + ": " + r.Err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }

func refuse(reason Reason, err error, format string, args ...any) error {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), Err: err}
}

// What to do, by the field of the spec.
const (
	orDisable   = "or set spec.backup.snapshot.state to Disabled and rely on the backups in the bucket"
	orOtherDisk = "move the checkpoint to a storage class whose CSI driver takes snapshots, " + orDisable
)

// ofAPI explains an error of the API server; doing is what was tried.
func ofAPI(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case apierrors.IsNotFound(err):
		return refuse(NoAPI, err, "%s: the cluster does not serve VolumeSnapshots of snapshot.storage.k8s.io/v1: install the CRDs and the controller of external-snapshotter, %s", doing, orDisable)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return refuse(NotAllowed, err, "%s: the API server refuses it; the agent's account needs the ClusterRole sparkpipeline-agent, and no quota or webhook may be against it", doing)
	default:
		return refuse(Unreachable, err, "%s: the API server did not answer; the next run tries again", doing)
	}
}

// passing says that an error of the API server may be gone at the next try.
func passing(err error) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Reason == Unreachable
}

// claimUsable refuses a claim of which there can be no snapshot now.
func claimUsable(c *corev1.PersistentVolumeClaim) error {
	switch {
	case c.DeletionTimestamp != nil:
		return refuse(ClaimUnusable, nil, "claim %s is being deleted, and a claim on its way out cannot be snapshotted: make a backup into the bucket now", c.Name)
	case c.Status.Phase == corev1.ClaimLost:
		return refuse(ClaimUnusable, nil, "the volume of claim %s is lost: restore the checkpoint", c.Name)
	case c.Status.Phase != corev1.ClaimBound:
		return refuse(ClaimUnusable, nil, "claim %s is %s, not Bound: there is no volume yet", c.Name, c.Status.Phase)
	}
	return nil
}

// storage describes where a claim's volume comes from.
func storage(c *corev1.PersistentVolumeClaim) string {
	class, provisioner := "no storage class", "made by hand"
	if name := c.Spec.StorageClassName; name != nil && *name != "" {
		class = "storage class " + *name
	}
	for _, key := range []string{"volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"} {
		if p := c.Annotations[key]; p != "" {
			provisioner = "provisioner " + p
			break
		}
	}
	return fmt.Sprintf("the volume of claim %s (%s, %s)", c.Name, class, provisioner)
}

// hopeless tells the errors in a snapshot's status that waiting does not heal. The
// words are those of external-snapshotter's controller and of gRPC; they are the
// only thing that tells these causes apart.
var hopeless = []struct {
	words  string
	reason Reason
	help   string
}{
	{"non-CSI volumes is not supported", CannotSnapshot, "it is not a volume of a CSI driver: " + orOtherDisk},
	{"cannot find CSI PersistentVolumeSource", CannotSnapshot, "it is not a volume of a CSI driver: " + orOtherDisk},
	{"code = Unimplemented", CannotSnapshot, "its CSI driver takes no snapshots: " + orOtherDisk},
	{"cannot find default snapshot class", NoClass, "no VolumeSnapshotClass is the default of its CSI driver: annotate one with snapshot.storage.kubernetes.io/is-default-class=true, name one in spec.backup.snapshot.volumeSnapshotClassName, " + orDisable},
	{"default snapshot classes were found", NoClass, "more than one VolumeSnapshotClass is the default of its CSI driver: name the one in spec.backup.snapshot.volumeSnapshotClassName"},
	{"Failed to get snapshot class", NoClass, "the VolumeSnapshotClass does not exist: correct spec.backup.snapshot.volumeSnapshotClassName, or make the class"},
	{"because it is being deleted", ClaimUnusable, "the claim is being deleted: make a backup into the bucket now"},
}

// hopelessness refuses to wait for a snapshot whose status holds an error that will
// not go away; nil: it may.
func hopelessness(message string, claim *corev1.PersistentVolumeClaim) error {
	for _, h := range hopeless {
		if strings.Contains(message, h.words) {
			return refuse(h.reason, errors.New(message), "%s cannot be snapshotted: %s", storage(claim), h.help)
		}
	}
	return nil
}
