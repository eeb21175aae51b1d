// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ApplicationType is the language of the application.
//
// +kubebuilder:validation:Enum=Java;Scala;Python;R
type ApplicationType string

// The languages that Spark runs.
const (
	ApplicationJava   ApplicationType = "Java"
	ApplicationScala  ApplicationType = "Scala"
	ApplicationPython ApplicationType = "Python"
	ApplicationR      ApplicationType = "R"
)

// ApplicationSpec is the program to run.
//
// +kubebuilder:validation:XValidation:rule=`has(self.mainClass) || self.type in ['Python', 'R']`,messageExpression=`'spec.application.mainClass is absent and type is ' + self.type + '; Java and Scala need the name of the class to run'`,fieldPath=`.mainClass`
type ApplicationSpec struct {
	// type is the language of the application.
	// +optional
	// +kubebuilder:default=Scala
	Type ApplicationType `json:"type,omitempty"`

	// mainClass is the class to run. Needed for Java and Scala.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*$`
	MainClass string `json:"mainClass,omitempty"`

	// mainApplicationFile is the jar or script to run: local:// names a file in
	// the image, s3a:// one in a bucket.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(local:///|s3a://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]/)[^\s]+$`
	MainApplicationFile string `json:"mainApplicationFile"`

	// arguments are handed to the application as they are.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=4096
	Arguments []string `json:"arguments,omitempty"`

	// env is the environment of driver and executors. References reach Secrets
	// and ConfigMaps of the workload's namespace. Names that start with _SPARK_ are
	// Spark's own.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule=`!self.exists(e, size(e.name) == 0 || e.name.startsWith('_SPARK_'))`,messageExpression=`'spec.application.env holds the name "%s"; a name is allowed that is not empty and does not start with _SPARK_'.format([self.filter(e, size(e.name) == 0 || e.name.startsWith('_SPARK_'))[0].name])`
	Env []corev1.EnvVar `json:"env,omitempty"`

	// sparkConf are settings of Spark. Those that the operator must own are
	// refused; the message names the field to use instead.
	// +optional
	SparkConf SparkConf `json:"sparkConf,omitempty"`

	// dependencies are fetched before the application starts.
	// +optional
	// +kubebuilder:default={}
	Dependencies DependenciesSpec `json:"dependencies,omitzero"`
}

// SparkConfValue is the value of a setting of Spark, in one line.
//
// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]*$`
// +kubebuilder:validation:MaxLength=4096
type SparkConfValue string

// DependencyLocation is the address of a file that Spark fetches.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^(local|s3a|https?)://[^\s,]+$`
type DependencyLocation string

// MavenCoordinate is group:artifact:version.
//
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:Pattern=`^[^:\s,]+:[^:\s,]+:[^:\s,]+$`
type MavenCoordinate string

// DependenciesSpec lists what the application needs beside its image.
type DependenciesSpec struct {
	// jars are added to the class path of driver and executors.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Jars []DependencyLocation `json:"jars,omitempty"`
	// files are put into the working directory of driver and executors.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Files []DependencyLocation `json:"files,omitempty"`
	// pyFiles are added to the Python path.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	PyFiles []DependencyLocation `json:"pyFiles,omitempty"`
	// packages are Maven coordinates. They are resolved at every start, so the
	// repository becomes something that a restart waits for.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Packages []MavenCoordinate `json:"packages,omitempty"`
}

// Memory is an amount of memory as Spark writes it: digits and m, g or t.
//
// +kubebuilder:validation:MaxLength=10
// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,6}[mgtMGT]$`
type Memory string

// Capacity is the kind of node that a pod asks for. What it means in labels
// and tolerations is mapped by the admin of the operator.
//
// +kubebuilder:validation:Enum=Any;OnDemand;Spot
type Capacity string

// Kinds of nodes.
const (
	CapacityAny      Capacity = "Any"
	CapacityOnDemand Capacity = "OnDemand"
	CapacitySpot     Capacity = "Spot"
)

// Spread says how hard pods are kept apart over nodes and zones.
//
// +kubebuilder:validation:Enum=Preferred;Required;None
type Spread string

// Ways to keep pods apart.
const (
	SpreadPreferred Spread = "Preferred"
	SpreadRequired  Spread = "Required"
	SpreadNone      Spread = "None"
)

// DriverScheduling places the driver.
type DriverScheduling struct {
	// capacity is the kind of node.
	// +optional
	// +kubebuilder:default=OnDemand
	Capacity Capacity `json:"capacity,omitempty"`
}

// ExecutorScheduling places the executors.
type ExecutorScheduling struct {
	// capacity is the kind of node.
	// +optional
	// +kubebuilder:default=Spot
	Capacity Capacity `json:"capacity,omitempty"`
	// spread keeps executors apart over nodes and zones.
	// +optional
	// +kubebuilder:default=Preferred
	Spread Spread `json:"spread,omitempty"`
}

// RightSizing says whether recommendations for memory and CPU are used.
//
// +kubebuilder:validation:Enum=Disabled;AtRestart
type RightSizing string

// Ways to use recommendations.
const (
	// RightSizingDisabled shows recommendations and uses none.
	RightSizingDisabled RightSizing = "Disabled"
	// RightSizingAtRestart takes them at the next planned restart.
	RightSizingAtRestart RightSizing = "AtRestart"
)

// DriverSpec sizes and places the driver.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.memory) || !self.memory.matches('^[0-9]+[mM]$') || int(self.memory.substring(0, size(self.memory) - 1)) >= 512`,messageExpression=`'spec.driver.memory is ' + self.memory + '; 512m or more is allowed, because Spark does not start with less'`,fieldPath=`.memory`
type DriverSpec struct {
	// cores is the number of CPU cores.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	Cores int32 `json:"cores,omitempty"`
	// coreRequest is the CPU request of the pod, if it is to differ from cores.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]*m|[1-9][0-9]*(\.[0-9]+)?|0\.[0-9]*[1-9][0-9]*)$`
	CoreRequest string `json:"coreRequest,omitempty"`
	// memory is the heap of the JVM, such as 4g, and 512m at least. Spark adds its
	// overhead.
	// +optional
	// +kubebuilder:default="4g"
	Memory Memory `json:"memory,omitempty"`
	// memoryOverhead is added to the heap for the pod's memory. Absent: Spark's
	// own rule, a tenth of the heap but at least 384 MiB.
	// +optional
	MemoryOverhead Memory `json:"memoryOverhead,omitempty"`
	// scheduling places the driver.
	// +optional
	// +kubebuilder:default={}
	Scheduling DriverScheduling `json:"scheduling,omitzero"`
	// rightSizing uses recommendations for memory and CPU.
	// +optional
	// +kubebuilder:default=Disabled
	RightSizing RightSizing `json:"rightSizing,omitempty"`
	// podTemplate is merged under what the operator renders. It is checked
	// against the restricted pod security profile.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// ExecutorSpec sizes and places the executors.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.memory) || !self.memory.matches('^[0-9]+[mM]$') || int(self.memory.substring(0, size(self.memory) - 1)) >= 512`,messageExpression=`'spec.executor.memory is ' + self.memory + '; 512m or more is allowed, because Spark does not start with less'`,fieldPath=`.memory`
type ExecutorSpec struct {
	// cores is the number of CPU cores of each executor.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	Cores int32 `json:"cores,omitempty"`
	// coreRequest is the CPU request of the pod, if it is to differ from cores.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]*m|[1-9][0-9]*(\.[0-9]+)?|0\.[0-9]*[1-9][0-9]*)$`
	CoreRequest string `json:"coreRequest,omitempty"`
	// memory is the heap of each executor, such as 8g, and 512m at least. Spark
	// adds its overhead.
	// +optional
	// +kubebuilder:default="8g"
	Memory Memory `json:"memory,omitempty"`
	// memoryOverhead is added to the heap for the pod's memory. Absent: Spark's
	// own rule, a tenth of the heap but at least 384 MiB.
	// +optional
	MemoryOverhead Memory `json:"memoryOverhead,omitempty"`
	// instances is the number of executors at a start; with scaling disabled,
	// the number at all times.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Instances int32 `json:"instances,omitempty"`
	// scheduling places the executors.
	// +optional
	// +kubebuilder:default={}
	Scheduling ExecutorScheduling `json:"scheduling,omitzero"`
	// podTemplate is merged under what the operator renders. It is checked
	// against the restricted pod security profile.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// RestartSpec says when the application is started again.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.interval) || duration(self.interval) >= duration('1s')`,messageExpression=`'spec.restart.interval is ' + self.interval + '; 1s or more is allowed'`,fieldPath=`.interval`
type RestartSpec struct {
	// quickRetries is how often the backend itself starts the application again
	// after a failure. What comes after is the operator's.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	QuickRetries int32 `json:"quickRetries,omitempty"`
	// interval is the wait before a quick retry, counted from the last start. At
	// least 1s.
	// +optional
	// +kubebuilder:default="30s"
	Interval Duration `json:"interval,omitempty"`
	// onConfigChange restarts the application when a Secret or ConfigMap that it
	// uses changes.
	// +optional
	// +kubebuilder:default=false
	OnConfigChange bool `json:"onConfigChange,omitempty"`
	// nonce restarts the application when its value changes.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Nonce string `json:"nonce,omitempty"`
	// acceptStateReset names the pending change, by the digest that the status
	// shows, whose loss of state is accepted.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	AcceptStateReset string `json:"acceptStateReset,omitempty"`
}
