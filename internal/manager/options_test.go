// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"flag"
	"testing"
)

// In namespaced mode the operator has no rights outside of its namespaces, so it
// must want nothing there.
func TestNamespacedModeStaysInside(t *testing.T) {
	for _, c := range []struct {
		name      string
		args      []string
		velero    string
		dedicated bool
	}{
		{"the whole cluster", nil, "velero", true},
		{"the whole cluster without dedicated namespaces", []string{"--dedicated-namespaces=false"}, "velero", false},
		{"two namespaces", []string{"--namespaces=data, stage"}, "", false},
		{"Velero's namespace among them", []string{"--namespaces=data,velero"}, "velero", false},
		{"Velero elsewhere", []string{"--namespaces=data,velero", "--velero-namespace=backups"}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o Options
			flags := flag.NewFlagSet("manager", flag.ContinueOnError)
			o.Bind(flags)
			if err := flags.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			d, err := o.defaults()
			if err != nil {
				t.Fatal(err)
			}
			if d.VeleroNamespace != c.velero || d.DedicatedNamespaces != c.dedicated {
				t.Errorf("got Velero's namespace %q and dedicated namespaces %t, expected %q and %t", d.VeleroNamespace, d.DedicatedNamespaces, c.velero, c.dedicated)
			}
		})
	}
}

func TestFlagsThatCannotBeRead(t *testing.T) {
	for _, args := range [][]string{
		{"--placement=oracle"}, {"--placement-file=missing.yaml"}, {"--quota-ceiling=pods=many"}, {"--quota-ceiling=disks=1"},
	} {
		var o Options
		flags := flag.NewFlagSet("manager", flag.ContinueOnError)
		o.Bind(flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		if _, err := o.defaults(); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
