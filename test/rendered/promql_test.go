// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// query is one expression of a rendering.
type query struct {
	name string // such as alert SparkDriverDown
	expr string
}

// plain is PromQL without any feature flag.
func plain() parser.Parser { return parser.NewParser(parser.Options{}) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// rules are the groups of the PrometheusRule, read as Prometheus reads them: names,
// expressions, durations and the templates in labels and annotations are judged.
func (r rendering) rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	var out []rulefmt.Rule
	for _, c := range r.children {
		if c.Object.GetKind() != "PrometheusRule" {
			continue
		}
		rule := monitoringv1.PrometheusRule{}
		into(t, c.Object.Object, &rule)
		text, err := yaml.Marshal(rule.Spec)
		if err != nil {
			t.Fatal(err)
		}
		groups, problems := rulefmt.Parse(text, false, model.LegacyValidation, plain(), quiet)
		for _, err := range problems {
			t.Errorf("%s: %v", r.name, err)
		}
		if groups == nil {
			continue
		}
		for _, g := range groups.Groups {
			out = append(out, g.Rules...)
		}
	}
	return out
}

// panels are the queries of the dashboard, with Grafana's variable replaced.
func (r rendering) panels(t *testing.T) []query {
	t.Helper()
	var out []query
	for _, c := range r.children {
		if c.Name != "dashboard" {
			continue
		}
		data, ok := c.Object.Object["data"].(map[string]any)
		if !ok || len(data) != 1 {
			t.Fatalf("%s: the dashboard is %v", r.name, c.Object.Object)
		}
		for _, text := range data {
			var d struct {
				Panels []struct {
					Title   string
					Targets []struct{ Expr string }
				}
			}
			if err := json.Unmarshal([]byte(text.(string)), &d); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
			for _, p := range d.Panels {
				for _, target := range p.Targets {
					out = append(out, query{"panel " + p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "2m")})
				}
			}
		}
	}
	return out
}

// queries are those of alerts and panels.
func (r rendering) queries(t *testing.T) []query {
	t.Helper()
	var out []query
	for _, rule := range r.rules(t) {
		out = append(out, query{"alert " + rule.Alert, rule.Expr})
	}
	return append(out, r.panels(t)...)
}

func TestQueriesParse(t *testing.T) {
	for _, r := range renderings(t) {
		queries := r.queries(t)
		want := 9 + 6
		if r.name == "fixed-size" {
			want = 9 // It has no dashboard.
		}
		if len(queries) != want {
			t.Errorf("%s: found %d queries, expected %d", r.name, len(queries), want)
		}
		for _, q := range queries {
			if _, err := plain().ParseExpr(q.expr); err != nil {
				t.Errorf("%s: %s: %s: %v", r.name, q.name, q.expr, err)
			}
		}
	}
}

// Rules that are not right are seen: the test above can fail.
func TestBrokenRulesAreSeen(t *testing.T) {
	for _, broken := range []string{
		`{groups: [{name: g, rules: [{alert: A, expr: "sum(x"}]}]}`,
		`{groups: [{name: g, rules: [{alert: A, expr: "rate(x)"}]}]}`,
		`{groups: [{name: g, rules: [{alert: A, expr: x, for: 2 minutes}]}]}`,
		`{groups: [{name: g, rules: [{alert: A, expr: x, annotations: {summary: "{{ .Nothing"}}]}]}`,
		`{groups: [{name: g, rules: [{alert: A, expr: x, labels: {a-b: c}}]}]}`,
		`{groups: [{name: g, rules: [{alert: A, expr: x, unknown: c}]}]}`,
	} {
		if _, problems := rulefmt.Parse([]byte(broken), false, model.LegacyValidation, plain(), quiet); len(problems) == 0 {
			t.Errorf("%s passes", broken)
		}
	}
}

// matcher is one matcher of a selector, without its value.
type matcher struct {
	name string
	kind labels.MatchType
}

// selectors are the vector selectors of an expression in their order.
func selectors(t *testing.T, expr string) [][]*labels.Matcher {
	t.Helper()
	parsed, err := plain().ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return parser.ExtractSelectors(parsed)
}

// The schema lets no hostile name in. Were one there, it would stay the value of
// its matchers: the same selectors, each with the very name.
func TestNamesStayInTheirMatchers(t *testing.T) {
	for _, name := range []string{
		`a"} or vector(1) or x{y="`, `b\`, "c\nd", `e", job="f`, "`g`", `h.*`, `(i|j)`, "{{ .Value }}", "k$1", "é\x00",
	} {
		in := input(t, "full")
		usual := render(t, "usual", input(t, "full")).queries(t)
		in.Pipeline.Name, in.Pipeline.Namespace, in.Pipeline.Spec.Namespace = name, name+"-space", name+"-workload"
		r := render(t, "hostile", in)
		hostile := append(r.unchecked(t), r.panels(t)...)
		if len(hostile) != len(usual) || len(usual) != 15 {
			t.Fatalf("%q: got %d queries, expected %d", name, len(hostile), len(usual))
		}
		for i, q := range hostile {
			compareSelectors(t, name, q, selectors(t, usual[i].expr), selectors(t, q.expr))
		}
	}
}

// unchecked are the queries of alerts, read without judging what is around them.
func (r rendering) unchecked(t *testing.T) []query {
	t.Helper()
	var out []query
	for _, c := range r.children {
		if c.Object.GetKind() == "PrometheusRule" {
			rule := monitoringv1.PrometheusRule{}
			into(t, c.Object.Object, &rule)
			for _, a := range rule.Spec.Groups[0].Rules {
				out = append(out, query{"alert " + a.Alert, a.Expr.String()})
			}
		}
	}
	return out
}

func compareSelectors(t *testing.T, name string, q query, usual, hostile [][]*labels.Matcher) {
	t.Helper()
	if len(usual) != len(hostile) {
		t.Errorf("%q: %s has the selectors %v, with a usual name %v", name, q.name, hostile, usual)
		return
	}
	own := map[string]string{"namespace": name + "-workload", "service": name + "-web", "pipeline": name, "pipeline_namespace": name + "-space"}
	for i := range hostile {
		var was, is []matcher
		for _, m := range usual[i] {
			was = append(was, matcher{m.Name, m.Type})
		}
		for _, m := range hostile[i] {
			is = append(is, matcher{m.Name, m.Type})
			if want, ok := own[m.Name]; ok && m.Value != want {
				t.Errorf("%q: %s: %s matches %q, expected %q", name, q.name, m.Name, m.Value, want)
			}
			if m.Name == "job_name" && (!m.Matches(name+"-backup-1") || m.Matches("x-backup-1") || m.Matches("hhh-backup-1") || m.Matches("i-backup-1")) {
				t.Errorf("%q: %s: the jobs %q are not those of this name alone", name, q.name, m.Value)
			}
		}
		if len(was) != len(is) {
			t.Errorf("%q: %s has the matchers %v, with a usual name %v", name, q.name, is, was)
			continue
		}
		for j := range was {
			if was[j] != is[j] {
				t.Errorf("%q: %s has the matchers %v, with a usual name %v", name, q.name, is, was)
			}
		}
	}
}
