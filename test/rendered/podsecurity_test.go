// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	psaapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// admit says what Pod Security Admission forbids in a pod of a namespace that
// enforces the profile restricted; nothing when it lets the pod in.
func admit(t *testing.T, p pod) string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &p.meta, &p.spec))
	if result.Allowed {
		return ""
	}
	return result.ForbiddenDetail()
}

// Every pod passes, those that Spark makes of our templates and those of our own.
func TestPodsAreRestricted(t *testing.T) {
	for _, r := range renderings(t) {
		for _, p := range append(r.sparkPods(t), r.ownPods(t)...) {
			if forbidden := admit(t, p); forbidden != "" {
				t.Errorf("%s: the pod of %s would be refused: %s", r.name, p.name, forbidden)
			}
		}
	}
}

// digest ends the name of a Job that checks buckets.
var digest = regexp.MustCompile(`-check-[a-z2-7]{5}$`)

// The pods that are judged, by hand: one that is not found cannot fail.
func TestPodsThatAreJudged(t *testing.T) {
	want := map[string][]string{
		"minimal":    {"driver", "executor", "Deployment orders-history", "CronJob orders-backup", "CronJob orders-snapshot", "CronJob orders-drill", "Job orders-check", "Deployment orders-watch"},
		"fixed-size": {"driver", "executor", "CronJob billing-backup", "Job billing-check"},
		"suspended":  {"driver", "executor", "Deployment returns-history", "CronJob returns-snapshot", "Deployment returns-watch"},
		"full": {"driver", "executor", "Deployment orders-full-history", "CronJob orders-full-backup", "CronJob orders-full-snapshot",
			"CronJob orders-full-archive", "CronJob orders-full-drill", "Job orders-full-check", "Deployment orders-full-watch"},
	}
	seen := 0
	for _, r := range renderings(t) {
		var got []string
		for _, p := range append(r.sparkPods(t), r.ownPods(t)...) {
			got = append(got, digest.ReplaceAllString(p.name, "-check"))
		}
		if w := want[r.name]; w != nil {
			seen++
			if !slices.Equal(got, w) {
				t.Errorf("%s: judged %q, expected %q", r.name, got, w)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("met %d of %d cases", seen, len(want))
	}
}

type violation struct {
	check  string // Words of the library about the rule.
	mutate func(*pod)
}

// violations break one rule of the profile each, in a pod that passes. Together
// they trip every check that the library has for Linux pods.
var violations = []violation{
	{"allowPrivilegeEscalation != false", first(func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil })},
	{"allowPrivilegeEscalation != false", last(func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = new(true) })},
	{"forbidden AppArmor profile", first(func(c *corev1.Container) {
		c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	})},
	{"unrestricted capabilities", first(func(c *corev1.Container) { c.SecurityContext.Capabilities = nil })},
	{"unrestricted capabilities", last(func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
	})},
	{"host namespaces", func(p *pod) { p.spec.HostNetwork = true }},
	{"host namespaces", func(p *pod) { p.spec.HostPID = true }},
	{"host namespaces", func(p *pod) { p.spec.HostIPC = true }},
	{`restricted volume type "hostPath"`, volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}})},
	{"restricted volume types", volume(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs", Path: "/"}})},
	{"hostPort", first(func(c *corev1.Container) {
		c.Ports = append(c.Ports, corev1.ContainerPort{HostPort: 4040, ContainerPort: 4040})
	})},
	{"probe or lifecycle host", first(func(c *corev1.Container) {
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: "169.254.169.254"}}}
	})},
	{"privileged", first(func(c *corev1.Container) { c.SecurityContext.Privileged = new(true) })},
	{"procMount", first(func(c *corev1.Container) { c.SecurityContext.ProcMount = new(corev1.UnmaskedProcMount) })},
	{"runAsNonRoot != true", func(p *pod) {
		p.spec.SecurityContext.RunAsNonRoot = nil
		eachContainer(&p.spec, func(c *corev1.Container) { c.SecurityContext.RunAsNonRoot = nil })
	}},
	{"runAsNonRoot != true", last(func(c *corev1.Container) { c.SecurityContext.RunAsNonRoot = new(false) })},
	{"runAsUser=0", func(p *pod) { p.spec.SecurityContext.RunAsUser = new(int64(0)) }},
	{"runAsUser=0", first(func(c *corev1.Container) { c.SecurityContext.RunAsUser = new(int64(0)) })},
	{"seLinuxOptions", func(p *pod) { p.spec.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} }},
	{"seccompProfile", func(p *pod) {
		p.spec.SecurityContext.SeccompProfile = nil
		eachContainer(&p.spec, func(c *corev1.Container) { c.SecurityContext.SeccompProfile = nil })
	}},
	{"seccompProfile", first(func(c *corev1.Container) {
		c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	})},
	{"forbidden sysctls", func(p *pod) { p.spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "1"}} }},
	{"hostProcess", func(p *pod) {
		p.spec.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
	}},
	{"allowPrivilegeEscalation != false", func(p *pod) { p.spec.Containers = append(p.spec.Containers, corev1.Container{Name: "injected"}) }},
}

// A pod of ours with any rule broken is refused, for that very rule.
func TestPodsBrokenAreRefused(t *testing.T) {
	for _, r := range renderings(t) {
		for _, v := range violations {
			for _, p := range append(r.sparkPods(t), r.ownPods(t)...) {
				v.mutate(&p)
				if forbidden := admit(t, p); !strings.Contains(forbidden, v.check) {
					t.Errorf("%s: the broken pod of %s is judged %q, expected %q in it", r.name, p.name, forbidden, v.check)
				}
			}
		}
	}
}

// Each check of the library that judges pods at this level is tripped by one of the
// violations at least.
func TestViolationsTripEveryCheck(t *testing.T) {
	r := render(t, "minimal", input(t, "minimal"))
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for _, check := range policy.DefaultChecks() {
		evaluator, err := policy.NewEvaluator([]policy.Check{check}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tripped := slices.ContainsFunc(violations, func(v violation) bool {
			p := r.sparkPods(t)[0]
			v.mutate(&p)
			return !policy.AggregateCheckResults(evaluator.EvaluatePod(level, &p.meta, &p.spec)).Allowed
		})
		if !tripped {
			t.Errorf("no violation trips %s", check.ID)
		}
	}
}

func eachContainer(s *corev1.PodSpec, change func(*corev1.Container)) {
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			change(&list[i])
		}
	}
}

// first changes the container that comes first in the pod's life, last the main
// one.
func first(change func(*corev1.Container)) func(*pod) {
	return func(p *pod) {
		if len(p.spec.InitContainers) > 0 {
			change(&p.spec.InitContainers[0])
			return
		}
		change(&p.spec.Containers[0])
	}
}

func last(change func(*corev1.Container)) func(*pod) {
	return func(p *pod) { change(&p.spec.Containers[0]) }
}

func volume(source corev1.VolumeSource) func(*pod) {
	return func(p *pod) {
		p.spec.Volumes = append(p.spec.Volumes, corev1.Volume{Name: "broken", VolumeSource: source})
	}
}
