// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// MonitoringSpec says what is measured and who is told.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.scrapeInterval) || duration(self.scrapeInterval) >= duration('1s')`,messageExpression=`'spec.monitoring.scrapeInterval is ' + self.scrapeInterval + '; 1s or more is allowed'`,fieldPath=`.scrapeInterval`
type MonitoringSpec struct {
	// scrapeInterval of Prometheus. At least 1s.
	// +optional
	// +kubebuilder:default="30s"
	ScrapeInterval Duration `json:"scrapeInterval,omitempty"`
	// labels that the cluster's Prometheus selects monitors and rules by, but for
	// those that the operator or a GitOps tool owns.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') && !k.matches('^app[.]kubernetes[.]io/|(^|[.])(argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/'))`,message=`spec.monitoring.labels holds a name with a line feed; the name of a label is allowed that neither the operator nor a GitOps tool owns, such as release`,messageExpression=`'spec.monitoring.labels holds "%s"; the name of a label is allowed that neither the operator nor a GitOps tool owns, such as release'.format([self.filter(k, (!k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') || k.matches('^app[.]kubernetes[.]io/|(^|[.])(argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/')) && !self.exists(o, o < k && (!o.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') || o.matches('^app[.]kubernetes[.]io/|(^|[.])(argoproj[.]io|fluxcd[.]io|sparkpipeline[.]dev)/'))))[0]])`
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// jmx adds the JMX exporter to driver and executors.
	// +optional
	// +kubebuilder:default=Disabled
	JMX JMXMode `json:"jmx,omitempty"`
	// alerts of the pipeline.
	// +optional
	// +kubebuilder:default={}
	Alerts AlertsSpec `json:"alerts,omitzero"`
	// alertmanager says who is told of alerts.
	// +optional
	// +kubebuilder:default={}
	Alertmanager AlertmanagerSpec `json:"alertmanager,omitzero"`
	// dashboards for Grafana.
	// +optional
	// +kubebuilder:default=Enabled
	Dashboards State `json:"dashboards,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue string

// JMXMode says where the JMX exporter comes from.
//
// +kubebuilder:validation:Enum=Disabled;Injected;Image
type JMXMode string

// Sources of the JMX exporter.
const (
	// JMXDisabled uses Spark's own endpoints, which need no jar.
	JMXDisabled JMXMode = "Disabled"
	// JMXInjected copies the jar into the pods.
	JMXInjected JMXMode = "Injected"
	// JMXImage expects the jar at /opt/spark/jars/jmx_prometheus_javaagent.jar.
	JMXImage JMXMode = "Image"
)

// AlertName is one of the alerts of a pipeline.
//
// +kubebuilder:validation:Enum=SparkDriverDown;HighExecutorFailureRate;HighStreamingDelay;HighTaskFailureRate;ExecutorMemoryPressure;JVMHeapPressure;NoExecutorsAvailable;CheckpointFailure;HighGCTime
type AlertName string

// AlertsSpec tunes the alerts.
type AlertsSpec struct {
	// thresholds replace the reference numbers.
	// +optional
	// +kubebuilder:default={}
	Thresholds AlertThresholds `json:"thresholds,omitzero"`
	// disabled alerts.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=9
	Disabled []AlertName `json:"disabled,omitempty"`
}

// AlertThresholds are the values above which the alerts fire.
type AlertThresholds struct {
	// executorFailuresPerSecond of HighExecutorFailureRate.
	// +optional
	// +kubebuilder:default="0.1"
	ExecutorFailuresPerSecond Threshold `json:"executorFailuresPerSecond,omitempty"`
	// streamingDelay of HighStreamingDelay.
	// +optional
	// +kubebuilder:default="30s"
	StreamingDelay Duration `json:"streamingDelay,omitempty"`
	// taskFailuresPerSecond of HighTaskFailureRate.
	// +optional
	// +kubebuilder:default="1"
	TaskFailuresPerSecond Threshold `json:"taskFailuresPerSecond,omitempty"`
	// executorMemoryPercent of ExecutorMemoryPressure, of the limit.
	// +optional
	// +kubebuilder:default=90
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ExecutorMemoryPercent int32 `json:"executorMemoryPercent,omitempty"`
	// heapPercent of JVMHeapPressure.
	// +optional
	// +kubebuilder:default=90
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HeapPercent int32 `json:"heapPercent,omitempty"`
	// gcTime of HighGCTime, for one collection.
	// +optional
	// +kubebuilder:default="1s"
	GCTime Duration `json:"gcTime,omitempty"`
}

// Threshold is a decimal number.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
type Threshold string

// AlertmanagerSpec says who is told of alerts.
type AlertmanagerSpec struct {
	// slack gets warnings.
	// +optional
	Slack *SlackReceiver `json:"slack,omitempty"`
	// pagerDuty gets critical alerts.
	// +optional
	PagerDuty *PagerDutyReceiver `json:"pagerDuty,omitempty"`
}

// SlackReceiver is a channel of Slack.
type SlackReceiver struct {
	// channel of Slack.
	// +optional
	// +kubebuilder:default="#spark-alerts"
	// +kubebuilder:validation:MaxLength=80
	// +kubebuilder:validation:Pattern=`^[#@]?[A-Za-z0-9._-]+$`
	Channel string `json:"channel,omitempty"`
	// apiURLSecret holds the address of the webhook.
	// +required
	APIURLSecret SecretKeyReference `json:"apiURLSecret"`
}

// PagerDutyReceiver is a service of PagerDuty.
type PagerDutyReceiver struct {
	// routingKeySecret holds the integration key.
	// +required
	RoutingKeySecret SecretKeyReference `json:"routingKeySecret"`
}

// HistoryServerSpec shows the event logs.
type HistoryServerSpec struct {
	// state switches the history server on.
	// +optional
	// +kubebuilder:default=Enabled
	State State `json:"state,omitempty"`
}
