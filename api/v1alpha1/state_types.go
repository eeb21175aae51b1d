// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// CheckpointSpec says where the state of the stream lives.
//
// +kubebuilder:validation:XValidation:rule=`!(has(self.volume) && has(self.location))`,messageExpression=`'spec.checkpoint.volume and spec.checkpoint.location "' + self.location + '" are both set; one of them is allowed'`,fieldPath=`.location`
// +kubebuilder:validation:XValidation:rule=`has(self.location) || has(oldSelf.location) || (has(self.volume) && has(self.volume.storageClassName) ? self.volume.storageClassName : "") == (has(oldSelf.volume) && has(oldSelf.volume.storageClassName) ? oldSelf.volume.storageClassName : "")`,messageExpression=`'spec.checkpoint.volume.storageClassName is immutable: it is "' + (has(oldSelf.volume) && has(oldSelf.volume.storageClassName) ? oldSelf.volume.storageClassName : "") + '" and cannot become "' + (has(self.volume) && has(self.volume.storageClassName) ? self.volume.storageClassName : "") + '"; only the same is allowed, and an absent one counts as empty'`,fieldPath=`.volume`
// +kubebuilder:validation:XValidation:rule=`has(self.location) || has(oldSelf.location) || (has(self.volume) && has(self.volume.accessMode) ? self.volume.accessMode : 'ReadWriteMany') == (has(oldSelf.volume) && has(oldSelf.volume.accessMode) ? oldSelf.volume.accessMode : 'ReadWriteMany')`,messageExpression=`'spec.checkpoint.volume.accessMode is immutable: it is ' + (has(oldSelf.volume) && has(oldSelf.volume.accessMode) ? oldSelf.volume.accessMode : 'ReadWriteMany') + ' and cannot become ' + (has(self.volume) && has(self.volume.accessMode) ? self.volume.accessMode : 'ReadWriteMany') + '; only the same is allowed, and an absent one counts as ReadWriteMany'`,fieldPath=`.volume`
// +kubebuilder:validation:XValidation:rule=`has(self.location) || has(oldSelf.location) || !quantity((has(self.volume) ? string(self.volume.size) : '100Gi')).isLessThan(quantity((has(oldSelf.volume) ? string(oldSelf.volume.size) : '100Gi')))`,messageExpression=`'spec.checkpoint.volume.size is ' + (has(oldSelf.volume) ? string(oldSelf.volume.size) : '100Gi') + ' and cannot shrink to ' + (has(self.volume) ? string(self.volume.size) : '100Gi') + '; the same or more is allowed, and an absent one counts as 100Gi'`,fieldPath=`.volume`
// +kubebuilder:validation:XValidation:rule=`!has(self.mountPath) || !['/bin', '/dev', '/etc', '/lib', '/mnt/spark-events', '/opt/spark', '/proc', '/run', '/sbin', '/sys', '/tmp', '/usr', '/var/run'].exists(d, (self.mountPath + '/').startsWith(d + '/') || (d + '/').startsWith(self.mountPath + '/'))`,messageExpression=`'spec.checkpoint.mountPath is ' + self.mountPath + ', which overlaps ' + ['/bin', '/dev', '/etc', '/lib', '/mnt/spark-events', '/opt/spark', '/proc', '/run', '/sbin', '/sys', '/tmp', '/usr', '/var/run'].filter(d, (self.mountPath + '/').startsWith(d + '/') || (d + '/').startsWith(self.mountPath + '/'))[0] + '; a directory of its own is allowed, such as /mnt/checkpoints'`,fieldPath=`.mountPath`
// +kubebuilder:validation:XValidation:rule=`!has(self.queries) || !self.queries.exists(a, self.queries.exists(b, a.name != b.name && ((has(a.path) ? a.path : a.name) + '/').startsWith((has(b.path) ? b.path : b.name) + '/')))`,messageExpression=`self.queries.map(a, self.queries.exists(b, a.name != b.name && ((has(a.path) ? a.path : a.name) + '/').startsWith((has(b.path) ? b.path : b.name) + '/')), 'spec.checkpoint.queries: the path of %s is %s, which is equal to or inside that of %s; paths that do not overlap are allowed'.format([a.name, (has(a.path) ? a.path : a.name), self.queries.filter(b, a.name != b.name && ((has(a.path) ? a.path : a.name) + '/').startsWith((has(b.path) ? b.path : b.name) + '/'))[0].name]))[0]`,fieldPath=`.queries`
type CheckpointSpec struct {
	// volume is the claim of the state. Absent, with location absent too: the
	// reference claim of 100Gi.
	// +optional
	Volume *CheckpointVolume `json:"volume,omitempty"`
	// location is a prefix in a bucket, such as s3a://bucket/orders, for state
	// without a volume. It excludes volume.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^s3a://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._=-]*)+$`
	Location string `json:"location,omitempty"`
	// mountPath is where the volume appears in driver and executors: a directory
	// of its own, not in or above those of the system, of Spark or of the event
	// log.
	// +optional
	// +kubebuilder:default=/mnt/checkpoints
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`
	MountPath string `json:"mountPath,omitempty"`
	// queries are the streaming queries of the application, with paths that do
	// not overlap. Empty: they are discovered.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Queries []QuerySpec `json:"queries,omitempty"`
}

// AccessMode of a claim.
//
// +kubebuilder:validation:Enum=ReadWriteMany;ReadWriteOnce
type AccessMode string

// Access modes that a checkpoint may have.
const (
	AccessReadWriteMany AccessMode = "ReadWriteMany"
	AccessReadWriteOnce AccessMode = "ReadWriteOnce"
)

// CheckpointVolume is the claim of the checkpoint.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.size) || quantity(string(self.size)).isGreaterThan(quantity('0'))`,messageExpression=`'spec.checkpoint.volume.size is ' + string(self.size) + '; more than 0 is allowed'`,fieldPath=`.size`
type CheckpointVolume struct {
	// size of the claim. It may only grow.
	// +optional
	// +kubebuilder:default="100Gi"
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName of the claim. Empty: the cluster's default. Immutable.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	StorageClassName string `json:"storageClassName,omitempty"`
	// accessMode of the claim. Immutable.
	// +optional
	// +kubebuilder:default=ReadWriteMany
	AccessMode AccessMode `json:"accessMode,omitempty"`
}

// SinkKind says what happens when a sink sees a batch a second time.
//
// +kubebuilder:validation:Enum=UpsertsByKey;Appends;SkipsSeenBatches
type SinkKind string

const (
	// SinkUpsertsByKey writes the same row again: going back does no harm.
	SinkUpsertsByKey SinkKind = "UpsertsByKey"
	// SinkAppends writes rows twice: going back makes duplicates.
	SinkAppends SinkKind = "Appends"
	// SinkSkipsSeenBatches skips the number of a batch that it has seen, as the
	// file sink, Delta and Iceberg do: going back loses rows.
	SinkSkipsSeenBatches SinkKind = "SkipsSeenBatches"
)

// QuerySpec is one streaming query of the application.
type QuerySpec struct {
	// name of the query, as the application gives it.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name"`
	// path of its root below the mount path or the location. Absent: its name.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*$`
	Path string `json:"path,omitempty"`
	// trigger is the interval that the application uses. Only code can set it:
	// it is declared here and compared with what is measured.
	// +optional
	// +kubebuilder:default="10s"
	Trigger Duration `json:"trigger,omitempty"`
	// sink says whether the query may be taken back by itself.
	// +optional
	// +kubebuilder:default=SkipsSeenBatches
	Sink SinkKind `json:"sink,omitempty"`
}

// EventLogSpec says where Spark writes its event log.
type EventLogSpec struct {
	// volume is the claim of the event logs.
	// +optional
	// +kubebuilder:default={}
	Volume EventLogVolume `json:"volume,omitzero"`
}

// EventLogVolume is the claim of the event logs. It is shared between driver
// and history server.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.size) || quantity(string(self.size)).isGreaterThan(quantity('0'))`,messageExpression=`'spec.eventLog.volume.size is ' + string(self.size) + '; more than 0 is allowed'`,fieldPath=`.size`
// +kubebuilder:validation:XValidation:rule=`!has(self.size) || !has(oldSelf.size) || !quantity(string(self.size)).isLessThan(quantity(string(oldSelf.size)))`,messageExpression=`'spec.eventLog.volume.size is ' + string(oldSelf.size) + ' and cannot shrink to ' + string(self.size) + '; the same or more is allowed'`,fieldPath=`.size`
// +kubebuilder:validation:XValidation:rule=`(has(self.storageClassName) ? self.storageClassName : "") == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : "")`,messageExpression=`'spec.eventLog.volume.storageClassName is immutable: it is "' + (has(oldSelf.storageClassName) ? oldSelf.storageClassName : "") + '" and cannot become "' + (has(self.storageClassName) ? self.storageClassName : "") + '"; only the same is allowed, and an absent one counts as empty'`,fieldPath=`.storageClassName`
type EventLogVolume struct {
	// size of the claim. It may only grow.
	// +optional
	// +kubebuilder:default="50Gi"
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName of the claim. Empty: the cluster's default. Immutable.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	StorageClassName string `json:"storageClassName,omitempty"`
}

// ObjectStoreSpec is the S3 or S3-compatible store of the pipeline's buckets.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.endpoint) || !self.endpoint.matches(':[0-9]+$') || (1 <= int(self.endpoint.substring(self.endpoint.lastIndexOf(':') + 1)) && int(self.endpoint.substring(self.endpoint.lastIndexOf(':') + 1)) <= 65535)`,messageExpression=`'spec.objectStore.endpoint is ' + self.endpoint + '; ports from 1 to 65535 are allowed'`,fieldPath=`.endpoint`
type ObjectStoreSpec struct {
	// region of the buckets, such as us-west-2.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region string `json:"region"`
	// endpoint of an S3-compatible store, such as https://minio.example.com:9000.
	// Empty: AWS.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^https?://[A-Za-z0-9][-.A-Za-z0-9]*(:[0-9]{1,5})?$`
	Endpoint string `json:"endpoint,omitempty"`
	// pathStyle puts the bucket into the path instead of the host name.
	// +optional
	// +kubebuilder:default=false
	PathStyle bool `json:"pathStyle,omitempty"`
	// caSecret holds the store's certificate authority under the key ca.crt.
	// +optional
	CASecret *SecretReference `json:"caSecret,omitempty"`
	// encryption at rest that is asked for with each object.
	// +optional
	// +kubebuilder:default={}
	Encryption ObjectEncryption `json:"encryption,omitzero"`
	// credentials say how pods prove who they are.
	// +optional
	// +kubebuilder:default={}
	Credentials CredentialsSpec `json:"credentials,omitzero"`
	// buckets of the pipeline.
	// +required
	Buckets BucketsSpec `json:"buckets"`
}

// EncryptionMode is how a store encrypts objects.
//
// +kubebuilder:validation:Enum="";SSE-S3;SSE-KMS
type EncryptionMode string

// Modes of encryption; the empty one leaves it to the bucket.
const (
	EncryptionBucketDefault EncryptionMode = ""
	EncryptionSSES3         EncryptionMode = "SSE-S3"
	EncryptionSSEKMS        EncryptionMode = "SSE-KMS"
)

// ObjectEncryption is encryption at rest.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.kmsKeyID) || (has(self.mode) && self.mode == 'SSE-KMS')`,messageExpression=`'spec.objectStore.encryption.kmsKeyID is "' + self.kmsKeyID + '" and mode is "' + (has(self.mode) ? self.mode : "") + '"; a key is allowed with mode SSE-KMS'`,fieldPath=`.kmsKeyID`
type ObjectEncryption struct {
	// mode of encryption. Empty: what the bucket does by default.
	// +optional
	Mode EncryptionMode `json:"mode,omitempty"`
	// kmsKeyID names the key, with mode SSE-KMS alone. Absent: the account's default key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[-A-Za-z0-9:/_]+$`
	KMSKeyID string `json:"kmsKeyID,omitempty"`
}

// CredentialsSpec says how pods prove who they are to the store.
//
// +kubebuilder:validation:XValidation:rule=`!(has(self.secretName) && has(self.workloadIdentity))`,messageExpression=`'spec.objectStore.credentials.secretName "' + self.secretName + '" and workloadIdentity are both set; one of them is allowed'`,fieldPath=`.secretName`
type CredentialsSpec struct {
	// workloadIdentity puts annotations on the pipeline's service accounts.
	// +optional
	WorkloadIdentity *WorkloadIdentity `json:"workloadIdentity,omitempty"`
	// secretName names a Secret of the workload's namespace with the keys
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. It excludes workloadIdentity.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	SecretName string `json:"secretName,omitempty"`
}

// WorkloadIdentity ties service accounts to an identity of the cloud.
type WorkloadIdentity struct {
	// annotations of the service accounts, such as
	// eks.amazonaws.com/role-arn.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`self.all(k, k.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') && !k.matches('(^|[.])(kubernetes[.]io|k8s[.]io|argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/'))`,message=`spec.objectStore.credentials.workloadIdentity.annotations holds a name with a line feed; an annotation of a cloud is allowed, such as eks.amazonaws.com/role-arn`,messageExpression=`'spec.objectStore.credentials.workloadIdentity.annotations holds "%s"; an annotation of a cloud is allowed, such as eks.amazonaws.com/role-arn'.format([self.filter(k, (!k.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') || k.matches('(^|[.])(kubernetes[.]io|k8s[.]io|argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/')) && !self.exists(o, o < k && (!o.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') || o.matches('(^|[.])(kubernetes[.]io|k8s[.]io|argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/'))))[0]])`
	Annotations map[string]AnnotationValue `json:"annotations"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// BucketName is the name of a bucket by the rules of S3.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$`
// +kubebuilder:validation:XValidation:rule=`!self.contains('..') && !self.contains('.-') && !self.contains('-.') && !self.matches('^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$') && !self.startsWith('xn--') && !self.endsWith('-s3alias')`,messageExpression=`'found "' + self + '"; a name without two dots, a dot beside a hyphen, the form of an IP address, xn-- at the start or -s3alias at the end is allowed'`
type BucketName string

// BucketsSpec names the pipeline's buckets. What has no bucket is off.
type BucketsSpec struct {
	// input is where the application reads.
	// +optional
	Input BucketName `json:"input,omitempty"`
	// output is where the application writes.
	// +optional
	Output BucketName `json:"output,omitempty"`
	// checkpoints is for state that lives in a bucket.
	// +optional
	Checkpoints BucketName `json:"checkpoints,omitempty"`
	// backups is where recovery points go. Without it nothing is backed up.
	// +optional
	Backups BucketName `json:"backups,omitempty"`
	// archives is where old event logs go.
	// +optional
	Archives BucketName `json:"archives,omitempty"`
}
