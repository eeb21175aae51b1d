// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Holder is a pipeline as an owner of a prefix.
type Holder struct {
	// UID of the pipeline object.
	UID string `json:"uid"`
	// Cluster is an id of the cluster that is not copied with its objects; a
	// cluster restored from a copy of another holds pipelines of the same UID.
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

func (h Holder) String() string {
	return fmt.Sprintf("pipeline %s/%s (uid %s, cluster %q)", h.Namespace, h.Name, h.UID, h.Cluster)
}

func (h Holder) same(other Holder) bool {
	return h.UID == other.UID && (h.Cluster == other.Cluster || h.Cluster == "" || other.Cluster == "")
}

// OwnerRecord says who may write below a prefix.
type OwnerRecord struct {
	FormatVersion int `json:"formatVersion"`
	// Epoch starts at 1 and goes up with every takeover.
	Epoch  int64     `json:"epoch"`
	Holder Holder    `json:"holder"`
	Since  time.Time `json:"since"`
	// Reason of a takeover, for people.
	Reason string `json:"reason,omitempty"`
}

// Owner returns the record in force, the zero record when there is none.
func (r *Repository) Owner(ctx context.Context) (OwnerRecord, error) {
	newest := ""
	for info, err := range r.store.List(ctx, r.prefix+ownerDir) {
		if err != nil {
			return OwnerRecord{}, fmt.Errorf("look for the owner record: %w", err)
		}
		newest = info.Key
	}
	if newest == "" {
		return OwnerRecord{}, nil
	}
	var record OwnerRecord
	if _, err := getRecord(ctx, r.store, newest, &record); err != nil {
		return OwnerRecord{}, fmt.Errorf("read the owner record: %w", err)
	}
	if record.FormatVersion > FormatVersion {
		return OwnerRecord{}, &NewerFormatError{What: "owner record " + newest, Found: record.FormatVersion, Known: FormatVersion}
	}
	epoch, err := strconv.ParseInt(strings.TrimSuffix(path.Base(newest), ".json"), 10, 64)
	if err != nil || epoch != record.Epoch {
		return OwnerRecord{}, fmt.Errorf("%w: owner record %s says epoch %d", ErrDamaged, newest, record.Epoch)
	}
	return record, nil
}

// Claim makes sure that the holder may write here, and takes a prefix that has
// no owner yet. Anybody else gets a *TakenOverError. It writes only when the
// prefix is new.
func (r *Repository) Claim(ctx context.Context, h Holder) (OwnerRecord, error) {
	if h.UID == "" {
		return OwnerRecord{}, fmt.Errorf("claim %s: the owner's uid is empty", r.prefix)
	}
	current, err := r.Owner(ctx)
	if err != nil {
		return OwnerRecord{}, err
	}
	if current.Epoch == 0 {
		return r.raise(ctx, 1, h, "")
	}
	if !current.Holder.same(h) {
		return OwnerRecord{}, &TakenOverError{Prefix: r.prefix, Mine: h, Current: current}
	}
	return current, nil
}

// Takeover makes the holder the owner of a prefix that may have another, and
// raises the epoch, so that every later run of the former owner refuses. Taking
// over what is one's own changes nothing.
func (r *Repository) Takeover(ctx context.Context, h Holder, reason string) (OwnerRecord, error) {
	if h.UID == "" {
		return OwnerRecord{}, fmt.Errorf("take over %s: the new owner's uid is empty", r.prefix)
	}
	current, err := r.Owner(ctx)
	if err != nil {
		return OwnerRecord{}, err
	}
	if current.Epoch > 0 && current.Holder.same(h) {
		return current, nil
	}
	return r.raise(ctx, current.Epoch+1, h, reason)
}

// raise writes the record of a new epoch and reads back who won: on a store
// that ignores conditional writes the last of two simultaneous writers does.
func (r *Repository) raise(ctx context.Context, epoch int64, h Holder, reason string) (OwnerRecord, error) {
	record := OwnerRecord{FormatVersion: FormatVersion, Epoch: epoch, Holder: h, Since: r.now().UTC(), Reason: reason}
	key := fmt.Sprintf("%s%s%020d.json", r.prefix, ownerDir, epoch)
	_, err := putRecord(ctx, r.store, key, record, true)
	if err != nil && objectstore.KindOf(err) == objectstore.KindOther {
		_, err = putRecord(ctx, r.store, key, record, false) // the store refuses the condition itself
	}
	if err != nil && objectstore.KindOf(err) != objectstore.KindExists {
		return OwnerRecord{}, fmt.Errorf("write the owner record: %w", err)
	}
	current, err := r.Owner(ctx)
	if err != nil {
		return OwnerRecord{}, err
	}
	if !current.Holder.same(h) {
		return OwnerRecord{}, &TakenOverError{Prefix: r.prefix, Mine: h, Current: current}
	}
	return current, nil
}
