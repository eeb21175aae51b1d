// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// Every alert has a runbook of its name, which the page of all of them lists.
func TestAlertsHaveRunbooks(t *testing.T) {
	runbooks := filepath.Join("..", "..", "..", "docs", "runbooks")
	list, err := os.ReadFile(filepath.Join(runbooks, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	in := caseNamed(t, "full")
	n := 0
	for _, g := range child[monitoringv1.PrometheusRule](t, in, "alerts", in.Pipeline.Name).Spec.Groups {
		for _, r := range g.Rules {
			n++
			page, err := os.ReadFile(filepath.Join(runbooks, r.Alert+".md"))
			if err != nil || !strings.HasPrefix(string(page), "# "+r.Alert+"\n") {
				t.Errorf("%s has no runbook: %v", r.Alert, err)
			}
			if !strings.Contains(string(list), "("+r.Alert+".md) | "+r.Labels["severity"]+" |") {
				t.Errorf("the list of runbooks lacks %s with its severity", r.Alert)
			}
		}
	}
	if n != 9 {
		t.Errorf("%d alerts were looked at", n)
	}
}
