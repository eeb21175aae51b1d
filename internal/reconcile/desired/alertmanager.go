// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=alertmanagerconfigs,verbs=get;list;watch;create;patch;delete

// alertmanager routes warnings to Slack and critical alerts to PagerDuty. It names
// Secrets and holds none. Alertmanager's operator adds a matcher for the namespace,
// so that no pipeline can route the alerts of another.
func alertmanager(in Input) ([]Object, error) {
	a := in.Pipeline.Spec.Monitoring.Alertmanager
	if a.Slack == nil && a.PagerDuty == nil {
		return nil, nil
	}
	spec := monitoringv1alpha1.AlertmanagerConfigSpec{
		Receivers: []monitoringv1alpha1.Receiver{{Name: "nobody"}},
		Route: &monitoringv1alpha1.Route{
			Receiver: "nobody", GroupBy: []string{"pipeline_namespace", "pipeline"},
			GroupWait: new(monitoringv1.NonEmptyDuration("10s")), RepeatInterval: new(monitoringv1.NonEmptyDuration("12h")),
			Matchers: []monitoringv1alpha1.Matcher{equals("pipeline", in.Pipeline.Name), equals("pipeline_namespace", in.Pipeline.Namespace)},
		},
	}
	add := func(name, severity string, receiver monitoringv1alpha1.Receiver) error {
		receiver.Name = name
		spec.Receivers = append(spec.Receivers, receiver)
		text, err := json.Marshal(monitoringv1alpha1.Route{Receiver: name, Matchers: []monitoringv1alpha1.Matcher{equals("severity", severity)}})
		if err != nil {
			return fmt.Errorf("write the route to %s: %w", name, err)
		}
		spec.Route.Routes = append(spec.Route.Routes, apiextensionsv1.JSON{Raw: text})
		return nil
	}
	if s := a.Slack; s != nil {
		if err := add("slack", "warning", monitoringv1alpha1.Receiver{SlackConfigs: []monitoringv1alpha1.SlackConfig{{
			SendResolved: new(true), Channel: &s.Channel, APIURL: secretKey(s.APIURLSecret)}}}); err != nil {
			return nil, err
		}
	}
	if d := a.PagerDuty; d != nil {
		if err := add("pagerduty", "critical", monitoringv1alpha1.Receiver{PagerDutyConfigs: []monitoringv1alpha1.PagerDutyConfig{{
			SendResolved: new(true), RoutingKey: secretKey(d.RoutingKeySecret)}}}); err != nil {
			return nil, err
		}
	}
	return []Object{&monitoringv1alpha1.AlertmanagerConfig{ObjectMeta: monitoringMeta(in), Spec: spec}}, nil
}

func equals(label, value string) monitoringv1alpha1.Matcher {
	return monitoringv1alpha1.Matcher{Name: label, Value: value, MatchType: monitoringv1alpha1.MatchEqual}
}

func secretKey(r v1alpha1.SecretKeyReference) *corev1.SecretKeySelector {
	return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}, Key: r.Key}
}
