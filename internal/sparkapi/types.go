// SPDX-License-Identifier: Apache-2.0

package sparkapi

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ApplicationState is the state of a SparkApplication as kubeflow's controller
// reports it. The empty one is new.
type ApplicationState string

// States of a SparkApplication.
const (
	StateNew              ApplicationState = ""
	StateSubmitted        ApplicationState = "SUBMITTED"
	StateRunning          ApplicationState = "RUNNING"
	StateCompleted        ApplicationState = "COMPLETED"
	StateFailed           ApplicationState = "FAILED"
	StateSubmissionFailed ApplicationState = "SUBMISSION_FAILED"
	StatePendingRerun     ApplicationState = "PENDING_RERUN"
	StateInvalidating     ApplicationState = "INVALIDATING"
	StateSucceeding       ApplicationState = "SUCCEEDING"
	StateFailing          ApplicationState = "FAILING"
	StateSuspending       ApplicationState = "SUSPENDING"
	StateSuspended        ApplicationState = "SUSPENDED"
	StateResuming         ApplicationState = "RESUMING"
	StateUnknown          ApplicationState = "UNKNOWN"
)

// Terminal says that kubeflow's controller will do nothing more by itself.
func Terminal(s ApplicationState) bool { return s == StateCompleted || s == StateFailed }

// ExecutorState is the state of an executor's or the driver's pod.
type ExecutorState string

// States of executors.
const (
	ExecutorPending   ExecutorState = "PENDING"
	ExecutorRunning   ExecutorState = "RUNNING"
	ExecutorCompleted ExecutorState = "COMPLETED"
	ExecutorFailed    ExecutorState = "FAILED"
	ExecutorUnknown   ExecutorState = "UNKNOWN"
)

// RestartPolicyType says when kubeflow's controller submits again.
type RestartPolicyType string

// Restart policies.
const (
	RestartNever     RestartPolicyType = "Never"
	RestartOnFailure RestartPolicyType = "OnFailure"
	RestartAlways    RestartPolicyType = "Always"
)

// SparkApplication is one application for kubeflow's spark-operator.
//
// +kubebuilder:object:root=true
type SparkApplication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SparkApplicationSpec   `json:"spec"`
	Status SparkApplicationStatus `json:"status,omitempty"`
}

// SparkApplicationList is a list of SparkApplications.
//
// +kubebuilder:object:root=true
type SparkApplicationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SparkApplication `json:"items"`
}

// SparkApplicationSpec is what to run.
type SparkApplicationSpec struct {
	Type                string            `json:"type"`
	Mode                string            `json:"mode,omitempty"`
	SparkVersion        string            `json:"sparkVersion"`
	Image               *string           `json:"image,omitempty"`
	ImagePullPolicy     *string           `json:"imagePullPolicy,omitempty"`
	ImagePullSecrets    []string          `json:"imagePullSecrets,omitempty"`
	MainClass           *string           `json:"mainClass,omitempty"`
	MainApplicationFile *string           `json:"mainApplicationFile,omitempty"`
	Arguments           []string          `json:"arguments,omitempty"`
	SparkConf           map[string]string `json:"sparkConf,omitempty"`
	HadoopConf          map[string]string `json:"hadoopConf,omitempty"`
	Deps                Dependencies      `json:"deps,omitempty,omitzero"`
	Volumes             []corev1.Volume   `json:"volumes,omitempty"`
	Driver              DriverSpec        `json:"driver"`
	Executor            ExecutorSpec      `json:"executor"`
	RestartPolicy       RestartPolicy     `json:"restartPolicy,omitempty,omitzero"`
	Monitoring          *MonitoringSpec   `json:"monitoring,omitempty"`
	SparkUIOptions      *SparkUIOptions   `json:"sparkUIOptions,omitempty"`
	TimeToLiveSeconds   *int64            `json:"timeToLiveSeconds,omitempty"`
	// Suspend is the one field that may change while the application lives.
	Suspend *bool `json:"suspend,omitempty"`
}

// Dependencies are fetched at a submission.
type Dependencies struct {
	Jars     []string `json:"jars,omitempty"`
	Files    []string `json:"files,omitempty"`
	PyFiles  []string `json:"pyFiles,omitempty"`
	Packages []string `json:"packages,omitempty"`
}

// RestartPolicy bounds what kubeflow's controller does by itself. Intervals are
// seconds, retries count over the life of the object.
type RestartPolicy struct {
	Type                             RestartPolicyType `json:"type,omitempty"`
	OnFailureRetries                 *int32            `json:"onFailureRetries,omitempty"`
	OnFailureRetryInterval           *int64            `json:"onFailureRetryInterval,omitempty"`
	OnSubmissionFailureRetries       *int32            `json:"onSubmissionFailureRetries,omitempty"`
	OnSubmissionFailureRetryInterval *int64            `json:"onSubmissionFailureRetryInterval,omitempty"`
}

// MonitoringSpec makes kubeflow's controller configure a metrics sink and the
// JMX exporter. Neither is needed where Spark's own servlet is scraped.
type MonitoringSpec struct {
	ExposeDriverMetrics   bool    `json:"exposeDriverMetrics"`
	ExposeExecutorMetrics bool    `json:"exposeExecutorMetrics"`
	MetricsProperties     *string `json:"metricsProperties,omitempty"`
	MetricsPropertiesFile *string `json:"metricsPropertiesFile,omitempty"`
	// Prometheus is the JMX exporter as a Java agent.
	Prometheus *PrometheusSpec `json:"prometheus,omitempty"`
}

// PrometheusSpec is the JMX exporter of driver and executors.
type PrometheusSpec struct {
	// JmxExporterJar is a path within the image.
	JmxExporterJar string  `json:"jmxExporterJar"`
	Port           *int32  `json:"port,omitempty"`
	PortName       *string `json:"portName,omitempty"`
	ConfigFile     *string `json:"configFile,omitempty"`
	Configuration  *string `json:"configuration,omitempty"`
}

// SparkUIOptions shapes the Service that kubeflow's controller makes for the UI.
type SparkUIOptions struct {
	ServicePort        *int32              `json:"servicePort,omitempty"`
	ServicePortName    *string             `json:"servicePortName,omitempty"`
	ServiceType        *corev1.ServiceType `json:"serviceType,omitempty"`
	ServiceAnnotations map[string]string   `json:"serviceAnnotations,omitempty"`
	ServiceLabels      map[string]string   `json:"serviceLabels,omitempty"`
}

// SparkPodSpec is what driver and executors have in common.
type SparkPodSpec struct {
	// Template is honoured by Spark itself, without kubeflow's webhook.
	Template       *corev1.PodTemplateSpec `json:"template,omitempty"`
	Cores          *int32                  `json:"cores,omitempty"`
	CoreRequest    *string                 `json:"coreRequest,omitempty"`
	CoreLimit      *string                 `json:"coreLimit,omitempty"`
	Memory         *string                 `json:"memory,omitempty"`
	MemoryOverhead *string                 `json:"memoryOverhead,omitempty"`
	Labels         map[string]string       `json:"labels,omitempty"`
	Annotations    map[string]string       `json:"annotations,omitempty"`
	Env            []corev1.EnvVar         `json:"env,omitempty"`
	EnvFrom        []corev1.EnvFromSource  `json:"envFrom,omitempty"`
	ServiceAccount *string                 `json:"serviceAccount,omitempty"`
	JavaOptions    *string                 `json:"javaOptions,omitempty"`
	// TerminationGracePeriodSeconds is set by kubeflow's webhook.
	TerminationGracePeriodSeconds *int64  `json:"terminationGracePeriodSeconds,omitempty"`
	PriorityClassName             *string `json:"priorityClassName,omitempty"`
}

// DriverSpec is the driver.
type DriverSpec struct {
	SparkPodSpec `json:",inline"`
	PodName      *string `json:"podName,omitempty"`
}

// ExecutorSpec is the executors.
type ExecutorSpec struct {
	SparkPodSpec `json:",inline"`
	// Instances at the start; at least 1.
	Instances           *int32 `json:"instances,omitempty"`
	DeleteOnTermination *bool  `json:"deleteOnTermination,omitempty"`
}

// SparkApplicationStatus is what kubeflow's controller reports.
type SparkApplicationStatus struct {
	SparkApplicationID        string                   `json:"sparkApplicationId,omitempty"`
	SubmissionID              string                   `json:"submissionID,omitempty"`
	LastSubmissionAttemptTime metav1.Time              `json:"lastSubmissionAttemptTime,omitempty"`
	TerminationTime           metav1.Time              `json:"terminationTime,omitempty"`
	DriverInfo                DriverInfo               `json:"driverInfo"`
	ApplicationState          ApplicationStateStatus   `json:"applicationState,omitempty,omitzero"`
	ExecutorState             map[string]ExecutorState `json:"executorState,omitempty"`
	ExecutionAttempts         int32                    `json:"executionAttempts,omitempty"`
	SubmissionAttempts        int32                    `json:"submissionAttempts,omitempty"`
}

// ApplicationStateStatus is a state and what went wrong.
type ApplicationStateStatus struct {
	State        ApplicationState `json:"state"`
	ErrorMessage string           `json:"errorMessage,omitempty"`
}

// DriverInfo names the driver's pod and its UI.
type DriverInfo struct {
	PodName             string `json:"podName,omitempty"`
	WebUIServiceName    string `json:"webUIServiceName,omitempty"`
	WebUIAddress        string `json:"webUIAddress,omitempty"`
	WebUIPort           int32  `json:"webUIPort,omitempty"`
	WebUIIngressName    string `json:"webUIIngressName,omitempty"`
	WebUIIngressAddress string `json:"webUIIngressAddress,omitempty"`
}
