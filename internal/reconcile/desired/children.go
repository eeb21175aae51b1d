// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
)

// Waves of apply. A later wave builds on the ones before it.
const (
	waveNamespace = iota
	waveIdentity  // service accounts, roles, policies, quota
	waveStorage   // claims, certificates
	waveRest      // all that may come while the application starts
)

type child struct {
	name    string   // names the source file and the golden file
	owns    []Object // kinds to watch and to prune
	wave    int
	durable bool // holds data: removed only if the user asked for deletion
	once    bool // posted one time, never applied
	build   func(Input) ([]Object, error)
}

func owns(o ...Object) []Object { return o }

// children lists every child in the order of apply. Pruning and deletion run it
// backwards.
var children = []child{
	{name: "namespace", owns: owns(&corev1.Namespace{}), wave: waveNamespace, durable: true, build: namespace},
}

// Kind is a kind of children.
type Kind struct {
	// Name of the registry entry.
	Name    string
	Object  Object
	Durable bool
	Once    bool
	Wave    int
}

// Kinds lists the kinds of all children, in the order of apply. The
// SparkApplication comes where its wave would be: after storage.
func Kinds() []Kind {
	var out []Kind
	for _, c := range children {
		for _, o := range c.owns {
			out = append(out, Kind{Name: c.name, Object: o, Durable: c.durable, Once: c.once, Wave: c.wave})
		}
	}
	return out
}
