// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// ScalingSpec changes the number of executors with the load.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.minExecutors) || !has(self.maxExecutors) || self.minExecutors <= self.maxExecutors`,messageExpression=`'spec.scaling.minExecutors is %d and spec.scaling.maxExecutors %d; 1 <= minExecutors <= maxExecutors <= 1000 is allowed'.format([self.minExecutors, self.maxExecutors])`,fieldPath=`.minExecutors`
// +kubebuilder:validation:XValidation:rule=`!has(self.state) || self.state == 'Disabled' || !has(self.cpuUtilization) || self.cpuUtilization > 0 || has(self.memoryUtilization) || has(self.inputRate) || has(self.kafkaLag)`,messageExpression=`'spec.scaling.state is ' + self.state + ' and cpuUtilization 0, with nothing else to scale on; set cpuUtilization, memoryUtilization, inputRate or kafkaLag, or state Disabled'`,fieldPath=`.cpuUtilization`
type ScalingSpec struct {
	// state switches scaling on. Disabled keeps executor.instances.
	// +optional
	// +kubebuilder:default=Enabled
	State State `json:"state,omitempty"`
	// minExecutors is the smallest size, at most maxExecutors.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinExecutors int32 `json:"minExecutors,omitempty"`
	// maxExecutors is the largest size.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxExecutors int32 `json:"maxExecutors,omitempty"`
	// cpuUtilization is the average CPU use that scaling aims at, in percent of
	// the request. 0 does not scale on CPU, and needs another signal.
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	CPUUtilization *int32 `json:"cpuUtilization,omitempty"`
	// memoryUtilization is the average memory use that scaling aims at, in
	// percent of the request. A JVM's heap never shrinks, so it only scales up.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MemoryUtilization *int32 `json:"memoryUtilization,omitempty"`
	// inputRate scales on the rows that arrive. It needs a metrics adapter.
	// +optional
	InputRate *InputRate `json:"inputRate,omitempty"`
	// kafkaLag scales on what is not yet processed. It needs a metrics adapter
	// and sources.kafka.
	// +optional
	KafkaLag *KafkaLag `json:"kafkaLag,omitempty"`
	// behavior replaces the reference numbers: up 50 % a minute at once, down
	// 10 % a minute after 300 s.
	// +optional
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`
	// schedules change the bounds at certain times.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Schedules []ScalingSchedule `json:"schedules,omitempty"`
}

// InputRate is a target for the rate of input.
type InputRate struct {
	// perExecutor is the number of rows a second that one executor should get.
	// +optional
	// +kubebuilder:default=5000
	// +kubebuilder:validation:Minimum=1
	PerExecutor int64 `json:"perExecutor,omitempty"`
}

// KafkaLag is a target for the lag behind Kafka.
type KafkaLag struct {
	// perExecutor is the number of unprocessed records that one executor may
	// have to itself.
	// +required
	// +kubebuilder:validation:Minimum=1
	PerExecutor int64 `json:"perExecutor"`
}

// CronSchedule is a schedule in cron's five fields.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
type CronSchedule string

// ScalingSchedule changes the bounds between two points in time.
//
// +kubebuilder:validation:XValidation:rule=`self.minExecutors <= self.maxExecutors`,messageExpression=`'minExecutors is %d and maxExecutors %d; 1 <= minExecutors <= maxExecutors <= 1000 is allowed'.format([self.minExecutors, self.maxExecutors])`,fieldPath=`.minExecutors`
type ScalingSchedule struct {
	// start is when the bounds begin to hold.
	// +required
	Start CronSchedule `json:"start"`
	// end is when they no longer hold.
	// +required
	End CronSchedule `json:"end"`
	// timeZone of start and end, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
	// minExecutors is the smallest size in that time.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinExecutors int32 `json:"minExecutors"`
	// maxExecutors is the largest size in that time.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxExecutors int32 `json:"maxExecutors"`
}

// SourcesSpec tells of the systems that the application reads.
type SourcesSpec struct {
	// kafka is the cluster of the application's Kafka sources.
	// +optional
	Kafka *KafkaSource `json:"kafka,omitempty"`
}

// KafkaSource is a Kafka cluster.
//
// +kubebuilder:validation:XValidation:rule=`self.bootstrapServers.split(',').all(s, int(s.substring(s.lastIndexOf(':') + 1)) >= 1 && int(s.substring(s.lastIndexOf(':') + 1)) <= 65535)`,messageExpression=`'spec.sources.kafka.bootstrapServers holds ' + self.bootstrapServers.split(',').filter(s, int(s.substring(s.lastIndexOf(':') + 1)) < 1 || int(s.substring(s.lastIndexOf(':') + 1)) > 65535)[0] + '; ports from 1 to 65535 are allowed'`,fieldPath=`.bootstrapServers`
type KafkaSource struct {
	// bootstrapServers are host:port pairs with commas between them.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][-.A-Za-z0-9]*:[0-9]{1,5}(,[A-Za-z0-9][-.A-Za-z0-9]*:[0-9]{1,5})*$`
	BootstrapServers string `json:"bootstrapServers"`
	// tls encrypts the connection.
	// +optional
	TLS *KafkaTLS `json:"tls,omitempty"`
	// saslSecret names a Secret of the workload's namespace with the keys
	// mechanism, username and password.
	// +optional
	SASLSecret *SecretReference `json:"saslSecret,omitempty"`
}

// KafkaTLS is how a Kafka cluster is trusted.
type KafkaTLS struct {
	// caSecret holds the certificate authority under the key ca.crt. Absent:
	// the system's authorities.
	// +optional
	CASecret *SecretReference `json:"caSecret,omitempty"`
	// clientSecret holds a certificate that the brokers ask for, under the keys
	// tls.crt and tls.key.
	// +optional
	ClientSecret *SecretReference `json:"clientSecret,omitempty"`
}

// SecretReference names a Secret of the workload's namespace.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// SecretKeyReference names a key of a Secret of the workload's namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
	// key in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}
