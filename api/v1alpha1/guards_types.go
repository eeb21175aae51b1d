// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// HealthSpec says when a stream counts as stalled.
type HealthSpec struct {
	// stallAfter is how long a batch may be under way without a finished task.
	// +optional
	// +kubebuilder:default="5m"
	StallAfter Duration `json:"stallAfter,omitempty"`
}

// DriverDisruption says what a node drain does to the driver.
//
// +kubebuilder:validation:Enum=Move;Block
type DriverDisruption string

// Ways to treat the driver on a drained node.
const (
	// DriverMove restarts the driver on another node.
	DriverMove DriverDisruption = "Move"
	// DriverBlock blocks the drain until a person moves the driver.
	DriverBlock DriverDisruption = "Block"
)

// DisruptionSpec limits what a node drain may take at once.
type DisruptionSpec struct {
	// driver says what a drain does to the driver.
	// +optional
	// +kubebuilder:default=Move
	Driver DriverDisruption `json:"driver,omitempty"`
	// driverMinAvailable is the number of drivers that an eviction must leave.
	// 0 lets evictions through.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	DriverMinAvailable *int32 `json:"driverMinAvailable,omitempty"`
	// executorMinAvailable is the number of executors that evictions must
	// leave. It must be below the fewest executors. Absent: 2, or one less
	// than the fewest executors if that is smaller.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=999
	ExecutorMinAvailable *int32 `json:"executorMinAvailable,omitempty"`
}

// NetworkPolicyMode says how tightly the pods are closed in.
//
// +kubebuilder:validation:Enum=Strict;Disabled
type NetworkPolicyMode string

// Modes of network policy.
const (
	// NetworkStrict denies what is not listed, in both directions.
	NetworkStrict NetworkPolicyMode = "Strict"
	// NetworkDisabled makes no policies.
	NetworkDisabled NetworkPolicyMode = "Disabled"
)

// NetworkSpec limits who may talk to whom.
type NetworkSpec struct {
	// policy is how tightly the pods are closed in.
	// +optional
	// +kubebuilder:default=Strict
	Policy NetworkPolicyMode `json:"policy,omitempty"`
	// egress lists where the pods may connect to.
	// +optional
	// +kubebuilder:default={}
	Egress EgressSpec `json:"egress,omitzero"`
}

// CIDR is a range of addresses.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule=`isCIDR(self)`,message=`a range of addresses such as 10.0.0.0/16 is allowed, in one line`,messageExpression=`'found "' + self + '"; a range of addresses such as 10.0.0.0/16 is allowed'`
type CIDR string

// EgressSpec lists where the pods may connect to.
type EgressSpec struct {
	// objectStore ranges. Empty: port 443 (or the endpoint's) anywhere but
	// link-local addresses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ObjectStore []CIDR `json:"objectStore,omitempty"`
	// kafka ranges, on the ports of sources.kafka.bootstrapServers. Empty:
	// closed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Kafka []CIDR `json:"kafka,omitempty"`
	// extra rules. Empty: closed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Extra []EgressRule `json:"extra,omitempty"`
}

// EgressRule opens ports of a range of addresses.
type EgressRule struct {
	// cidr is the range.
	// +required
	CIDR CIDR `json:"cidr"`
	// ports that are opened over TCP.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Ports []Port `json:"ports"`
}

// Port is a TCP port.
//
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type Port int32

// EncryptionLevel is how Spark's processes protect what they say.
//
// +kubebuilder:validation:Enum=Auto;TLS;AES;Disabled
type EncryptionLevel string

// Levels of encryption.
const (
	// SecurityAuto is TLS where Spark is 4.0 or later and cert-manager is there,
	// else AES. What it came to is resolved once and recorded.
	SecurityAuto EncryptionLevel = "Auto"
	// SecurityTLS is TLS for RPC, block transfer and UI. Spark 4.0 or later.
	SecurityTLS EncryptionLevel = "TLS"
	// SecurityAES is authenticated AES-GCM.
	SecurityAES EncryptionLevel = "AES"
	// SecurityDisabled is no encryption; processes still authenticate.
	SecurityDisabled EncryptionLevel = "Disabled"
)

// SecuritySpec protects what Spark's processes say to each other.
type SecuritySpec struct {
	// encryption between driver and executors. TLS needs Spark 4.0 or later.
	// +optional
	// +kubebuilder:default=Auto
	Encryption EncryptionLevel `json:"encryption,omitempty"`
}

// QuotaSpec bounds the namespace.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.cpu) || quantity(string(self.cpu)).isGreaterThan(quantity('0'))`,messageExpression=`'spec.quota.cpu is ' + string(self.cpu) + '; more than 0 is allowed'`,fieldPath=`.cpu`
// +kubebuilder:validation:XValidation:rule=`!has(self.memory) || quantity(string(self.memory)).isGreaterThan(quantity('0'))`,messageExpression=`'spec.quota.memory is ' + string(self.memory) + '; more than 0 is allowed'`,fieldPath=`.memory`
// +kubebuilder:validation:XValidation:rule=`!has(self.storage) || quantity(string(self.storage)).isGreaterThan(quantity('0'))`,messageExpression=`'spec.quota.storage is ' + string(self.storage) + '; more than 0 is allowed'`,fieldPath=`.storage`
type QuotaSpec struct {
	// pods in the namespace.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Pods int32 `json:"pods,omitempty"`
	// cpu that pods may request.
	// +optional
	// +kubebuilder:default="200"
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory that pods may request.
	// +optional
	// +kubebuilder:default="400Gi"
	Memory *resource.Quantity `json:"memory,omitempty"`
	// storage that claims may request.
	// +optional
	// +kubebuilder:default="500Gi"
	Storage *resource.Quantity `json:"storage,omitempty"`
}
