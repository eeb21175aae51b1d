// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SparkPipeline is one Spark Structured Streaming job with everything that it
// needs in production.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.executor.instances,statuspath=.status.executors.ready,selectorpath=.status.selector
// +kubebuilder:resource:shortName=sp,categories=all
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Executors",type=string,JSONPath=`.status.executors.summary`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`
// +kubebuilder:printcolumn:name="Last backup",type=date,JSONPath=`.status.lastBackupTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Restarts",type=integer,priority=1,JSONPath=`.status.application.restarts`
// +kubebuilder:printcolumn:name="Recovery",type=string,priority=1,JSONPath=`.status.recoveryStep`
// +kubebuilder:printcolumn:name="Spark",type=string,priority=1,JSONPath=`.spec.sparkVersion`
// +kubebuilder:validation:XValidation:rule=`size(self.metadata.name) <= 40`,messageExpression=`'metadata.name "%s" has %s characters; at most 40 are allowed, because the names of its children add up to 12 more'.format([self.metadata.name, string(size(self.metadata.name))])`
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')`,messageExpression=`'metadata.name "' + self.metadata.name + '" must match [a-z]([-a-z0-9]*[a-z0-9])?: it must start with a letter, and lower case letters, digits and hyphens are allowed'`
type SparkPipeline struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec SparkPipelineSpec `json:"spec"`

	// status is what the operator saw and did. Only the operator writes it.
	// +optional
	Status SparkPipelineStatus `json:"status,omitzero"`
}

// SparkPipelineList is a list of SparkPipelines.
//
// +kubebuilder:object:root=true
type SparkPipelineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SparkPipeline `json:"items"`
}

// SparkPipelineSpec is the desired state of a pipeline.
//
// +kubebuilder:validation:XValidation:rule=`has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)`,messageExpression=`'spec.namespace is immutable: it is ' + (has(oldSelf.__namespace__) ? '"' + oldSelf.__namespace__ + '"' : 'absent') + ' and cannot become ' + (has(self.__namespace__) ? '"' + self.__namespace__ + '"' : 'absent') + '; only the same is allowed: create a new pipeline and bootstrap it from the backups of this one'`,fieldPath=`.namespace`
// +kubebuilder:validation:XValidation:rule=`!has(self.disruption.executorMinAvailable) || self.disruption.executorMinAvailable < (self.scaling.state == 'Disabled' ? self.executor.instances : ([self.scaling.minExecutors] + (has(self.scaling.schedules) ? self.scaling.schedules.map(s, s.minExecutors) : [])).min())`,messageExpression=`'spec.disruption.executorMinAvailable is %s; less than %s is allowed, which is %s, so that a drain can go on'.format([string(self.disruption.executorMinAvailable), string((self.scaling.state == 'Disabled' ? self.executor.instances : ([self.scaling.minExecutors] + (has(self.scaling.schedules) ? self.scaling.schedules.map(s, s.minExecutors) : [])).min())), (self.scaling.state == 'Disabled' ? 'spec.executor.instances' : 'the least of spec.scaling.minExecutors and its schedules')])`,fieldPath=`.disruption.executorMinAvailable`
// +kubebuilder:validation:XValidation:rule=`!has(self.scaling.kafkaLag) || has(self.sources.kafka)`,messageExpression=`'spec.scaling.kafkaLag.perExecutor is %d and spec.sources.kafka is absent; lag is allowed with sources.kafka, which says where to read it'.format([self.scaling.kafkaLag.perExecutor])`,fieldPath=`.scaling.kafkaLag`
// +kubebuilder:validation:XValidation:rule=`self.security.encryption != 'TLS' || !self.sparkVersion.startsWith('3.')`,messageExpression=`'spec.security.encryption is TLS and spec.sparkVersion ' + self.sparkVersion + '; TLS is allowed with Spark 4.0 or later, and Auto, AES or Disabled with this one'`,fieldPath=`.security.encryption`
// +kubebuilder:validation:XValidation:rule=`!has(self.recovery.replica) || !has(self.objectStore.buckets.backups) || self.recovery.replica.bucket != self.objectStore.buckets.backups`,messageExpression=`'spec.recovery.replica.bucket is "' + self.recovery.replica.bucket + '", which is spec.objectStore.buckets.backups; another bucket is allowed'`,fieldPath=`.recovery.replica.bucket`
type SparkPipelineSpec struct {
	// namespace dedicates a namespace of this name to the pipeline: the operator
	// makes it and guards it with pod security, quota and default deny. Absent:
	// the children live in the SparkPipeline's own namespace. A name must be
	// allowed by the annotation sparkpipeline.dev/allowed-namespaces on the
	// SparkPipeline's own namespace. Immutable.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// sparkVersion is the version of Spark in the image, such as 4.1.4. It
	// decides which features of Spark are used.
	// +required
	// +kubebuilder:validation:Pattern=`^(3\.5|4\.[0-9]{1,2})\.[0-9]{1,3}$`
	// +kubebuilder:validation:MaxLength=16
	SparkVersion string `json:"sparkVersion"`

	// image is the container image that holds Spark and the application.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^\S+$`
	Image string `json:"image"`

	// imagePullSecrets name Secrets of the workload's namespace.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule=`self.all(s, size(s.name) > 0)`,message=`spec.imagePullSecrets holds an empty name; the name of a Secret is allowed`
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// application is the program to run.
	// +required
	Application ApplicationSpec `json:"application"`

	// driver sizes and places the driver.
	// +optional
	// +kubebuilder:default={}
	Driver DriverSpec `json:"driver,omitzero"`

	// executor sizes and places the executors.
	// +optional
	// +kubebuilder:default={}
	Executor ExecutorSpec `json:"executor,omitzero"`

	// restart says when the application is started again.
	// +optional
	// +kubebuilder:default={}
	Restart RestartSpec `json:"restart,omitzero"`

	// scaling changes the number of executors with the load.
	// +optional
	// +kubebuilder:default={}
	Scaling ScalingSpec `json:"scaling,omitzero"`

	// sources tell of the systems that the application reads. They are used for
	// lag and for checks, never by the application itself.
	// +optional
	// +kubebuilder:default={}
	Sources SourcesSpec `json:"sources,omitzero"`

	// checkpoint says where the state of the stream lives.
	// +optional
	// +kubebuilder:default={}
	Checkpoint CheckpointSpec `json:"checkpoint,omitzero"`

	// eventLog says where Spark writes its event log.
	// +optional
	// +kubebuilder:default={}
	EventLog EventLogSpec `json:"eventLog,omitzero"`

	// objectStore is the S3 or S3-compatible store of the pipeline's buckets.
	// +required
	ObjectStore ObjectStoreSpec `json:"objectStore"`

	// backup says what is copied away, when, and for how long it is kept.
	// +optional
	// +kubebuilder:default={}
	Backup BackupSpec `json:"backup,omitzero"`

	// recovery says what may be done without asking when state is damaged.
	// +optional
	// +kubebuilder:default={}
	Recovery RecoverySpec `json:"recovery,omitzero"`

	// upgrade says what happens when a new rendering of the application fails.
	// +optional
	// +kubebuilder:default={}
	Upgrade UpgradeSpec `json:"upgrade,omitzero"`

	// maintenanceWindows are the times in which planned restarts may happen.
	// Empty: at any time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MaintenanceWindows []MaintenanceWindow `json:"maintenanceWindows,omitempty"`

	// bootstrap starts the pipeline from recovery points that another pipeline
	// left in a bucket.
	// +optional
	Bootstrap *BootstrapSpec `json:"bootstrap,omitempty"`

	// health says when a stream counts as stalled.
	// +optional
	// +kubebuilder:default={}
	Health HealthSpec `json:"health,omitzero"`

	// disruption limits what a node drain may take at once.
	// +optional
	// +kubebuilder:default={}
	Disruption DisruptionSpec `json:"disruption,omitzero"`

	// network limits who may talk to whom.
	// +optional
	// +kubebuilder:default={}
	Network NetworkSpec `json:"network,omitzero"`

	// security protects what Spark's processes say to each other.
	// +optional
	// +kubebuilder:default={}
	Security SecuritySpec `json:"security,omitzero"`

	// monitoring says what is measured and who is told.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitzero"`

	// historyServer shows the event logs.
	// +optional
	// +kubebuilder:default={}
	HistoryServer HistoryServerSpec `json:"historyServer,omitzero"`

	// quota bounds the namespace. Absent: the reference numbers in a dedicated
	// namespace, nothing in a shared one.
	// +optional
	Quota *QuotaSpec `json:"quota,omitempty"`

	// suspend stops the application and keeps everything else.
	// +optional
	// +kubebuilder:default=false
	Suspend bool `json:"suspend,omitempty"`

	// deletionPolicy says what becomes of claims, snapshots and a dedicated
	// namespace when the SparkPipeline is deleted.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what deletion of a SparkPipeline does to its data.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

const (
	// DeletionRetain keeps claims, snapshots, objects in buckets and the
	// namespace that holds them.
	DeletionRetain DeletionPolicy = "Retain"
	// DeletionDelete removes claims, snapshots and a dedicated namespace.
	// Objects in buckets stay.
	DeletionDelete DeletionPolicy = "Delete"
)

// State switches a part of the pipeline.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type State string

const (
	// StateEnabled switches a part on.
	StateEnabled State = "Enabled"
	// StateDisabled switches a part off.
	StateDisabled State = "Disabled"
)
