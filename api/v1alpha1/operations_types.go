// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// BackupSpec says what is copied away, when, and for how long it is kept.
type BackupSpec struct {
	// checkpoint copies the state into the backups bucket.
	// +optional
	// +kubebuilder:default={}
	Checkpoint CheckpointBackup `json:"checkpoint,omitzero"`
	// snapshot takes snapshots of the checkpoint's volume.
	// +optional
	// +kubebuilder:default={}
	Snapshot SnapshotBackup `json:"snapshot,omitzero"`
	// eventLogArchive moves old event logs into the archives bucket.
	// +optional
	// +kubebuilder:default={}
	EventLogArchive EventLogArchive `json:"eventLogArchive,omitzero"`
	// velero backs up the namespace with Velero, where that is installed.
	// +optional
	// +kubebuilder:default={}
	Velero VeleroBackup `json:"velero,omitzero"`
	// drill restores a recovery point into a scratch claim and measures it.
	// +optional
	// +kubebuilder:default={}
	Drill DrillSpec `json:"drill,omitzero"`
}

// CheckpointBackup is the backup of the state into a bucket.
type CheckpointBackup struct {
	// schedule of the backups.
	// +optional
	// +kubebuilder:default="0 */6 * * *"
	Schedule CronSchedule `json:"schedule,omitempty"`
	// retention of a recovery point. The newest verified one always stays.
	// +optional
	// +kubebuilder:default="168h"
	Retention Duration `json:"retention,omitempty"`
}

// SnapshotBackup is the backup of the state by volume snapshots.
type SnapshotBackup struct {
	// state switches snapshots on. They need a volume that can be snapshotted.
	// +optional
	// +kubebuilder:default=Enabled
	State State `json:"state,omitempty"`
	// schedule of the snapshots.
	// +optional
	// +kubebuilder:default="0 */12 * * *"
	Schedule CronSchedule `json:"schedule,omitempty"`
	// retention of a snapshot. The newest verified one always stays.
	// +optional
	// +kubebuilder:default="168h"
	Retention Duration `json:"retention,omitempty"`
	// volumeSnapshotClassName of the snapshots. Empty: the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	VolumeSnapshotClassName string `json:"volumeSnapshotClassName,omitempty"`
}

// EventLogArchive moves the event logs of finished applications.
type EventLogArchive struct {
	// schedule of the archiving.
	// +optional
	// +kubebuilder:default="0 2 * * *"
	Schedule CronSchedule `json:"schedule,omitempty"`
	// after is the age at which a log is moved.
	// +optional
	// +kubebuilder:default="168h"
	After Duration `json:"after,omitempty"`
	// storageClass of the objects in the archive.
	// +optional
	// +kubebuilder:default=GLACIER
	// +kubebuilder:validation:Enum=STANDARD;STANDARD_IA;ONEZONE_IA;INTELLIGENT_TIERING;GLACIER_IR;GLACIER;DEEP_ARCHIVE
	StorageClass string `json:"storageClass,omitempty"`
}

// VeleroBackup is a Schedule of Velero.
type VeleroBackup struct {
	// state switches the Schedule on, where Velero is installed.
	// +optional
	// +kubebuilder:default=Enabled
	State State `json:"state,omitempty"`
	// schedule of the backups.
	// +optional
	// +kubebuilder:default="0 3 * * *"
	Schedule CronSchedule `json:"schedule,omitempty"`
	// ttl is how long Velero keeps a backup.
	// +optional
	// +kubebuilder:default="720h"
	TTL Duration `json:"ttl,omitempty"`
}

// DrillSpec is a restore that is tried out on a schedule.
type DrillSpec struct {
	// state switches drills on. They need recovery points in a bucket.
	// +optional
	// +kubebuilder:default=Enabled
	State State `json:"state,omitempty"`
	// schedule of the drills.
	// +optional
	// +kubebuilder:default="0 4 1 */3 *"
	Schedule CronSchedule `json:"schedule,omitempty"`
}

// RecoveryPolicy says what may be done without asking.
//
// +kubebuilder:validation:Enum=Automatic;Approve;Disabled
type RecoveryPolicy string

// Policies of recovery.
const (
	// RecoveryAutomatic restores by itself what loses no output.
	RecoveryAutomatic RecoveryPolicy = "Automatic"
	// RecoveryApprove waits for a person before each restore.
	RecoveryApprove RecoveryPolicy = "Approve"
	// RecoveryDisabled never restores.
	RecoveryDisabled RecoveryPolicy = "Disabled"
)

// RecoverySpec says what may be done without asking when state is damaged.
type RecoverySpec struct {
	// policy of recovery.
	// +optional
	// +kubebuilder:default=Automatic
	Policy RecoveryPolicy `json:"policy,omitempty"`
	// failureBudget bounds how often a failing application is started again.
	// +optional
	// +kubebuilder:default={}
	FailureBudget FailureBudget `json:"failureBudget,omitzero"`
	// objectives are what recovery is measured against.
	// +optional
	// +kubebuilder:default={}
	Objectives Objectives `json:"objectives,omitzero"`
	// replica is a copy of the backups bucket in another region.
	// +optional
	Replica *ReplicaBucket `json:"replica,omitempty"`
}

// FailureBudget bounds restarts in a sliding window.
type FailureBudget struct {
	// restarts in the window.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Restarts int32 `json:"restarts,omitempty"`
	// per is the length of the window.
	// +optional
	// +kubebuilder:default="1h"
	Per Duration `json:"per,omitempty"`
	// healthyAfter is how long a run must last to forgive the failures before.
	// +optional
	// +kubebuilder:default="10m"
	HealthyAfter Duration `json:"healthyAfter,omitempty"`
}

// Objectives are the recovery objectives by kind of failure.
type Objectives struct {
	// crash of the driver.
	// +optional
	// +kubebuilder:default={rto: "2m", rpo: "10s"}
	Crash Objective `json:"crash,omitzero"`
	// volume lost or damaged.
	// +optional
	// +kubebuilder:default={rto: "15m", rpo: "12h"}
	Volume Objective `json:"volume,omitzero"`
	// cluster lost.
	// +optional
	// +kubebuilder:default={rto: "30m", rpo: "6h"}
	Cluster Objective `json:"cluster,omitzero"`
	// region lost.
	// +optional
	// +kubebuilder:default={rto: "60m", rpo: "15m"}
	Region Objective `json:"region,omitzero"`
}

// Objective is how long recovery may take and how much it may lose.
type Objective struct {
	// rto is the time until the stream advances again.
	// +required
	RTO Duration `json:"rto"`
	// rpo is the age of the state that it advances from.
	// +required
	RPO Duration `json:"rpo"`
}

// ReplicaBucket is a copy of the backups bucket.
type ReplicaBucket struct {
	// bucket that holds the copy: another than objectStore.buckets.backups.
	// +required
	Bucket BucketName `json:"bucket"`
	// region of that bucket.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region string `json:"region"`
}

// RollbackPolicy says when the last healthy rendering comes back.
//
// +kubebuilder:validation:Enum=OnFailure;Never
type RollbackPolicy string

// Policies of rollback.
const (
	RollbackOnFailure RollbackPolicy = "OnFailure"
	RollbackNever     RollbackPolicy = "Never"
)

// UpgradeSpec says what happens when a new rendering fails.
type UpgradeSpec struct {
	// rollback to the last healthy rendering.
	// +optional
	// +kubebuilder:default=OnFailure
	Rollback RollbackPolicy `json:"rollback,omitempty"`
	// healthyWithin is how long a new rendering has to become healthy.
	// +optional
	// +kubebuilder:default="10m"
	HealthyWithin Duration `json:"healthyWithin,omitempty"`
}

// MaintenanceWindow is a time in which planned restarts may happen.
type MaintenanceWindow struct {
	// start of the window.
	// +required
	Start CronSchedule `json:"start"`
	// duration of the window.
	// +required
	Duration Duration `json:"duration"`
	// timeZone of start.
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// BootstrapSpec starts the pipeline from the recovery points of another one.
type BootstrapSpec struct {
	// recovery names the points to start from.
	// +required
	Recovery BootstrapRecovery `json:"recovery"`
}

// BootstrapRecovery names recovery points in a bucket.
type BootstrapRecovery struct {
	// bucket that holds the points.
	// +required
	Bucket BucketName `json:"bucket"`
	// prefix of the points in the bucket.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*/?$`
	Prefix string `json:"prefix"`
	// point to start from. Empty: the newest complete one.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^$|^[A-Za-z0-9][A-Za-z0-9._-]*$`
	Point string `json:"point,omitempty"`
	// oldSideStopped says that the pipeline that wrote the points runs nowhere.
	// +optional
	// +kubebuilder:validation:Enum="";Acknowledged
	OldSideStopped string `json:"oldSideStopped,omitempty"`
}
