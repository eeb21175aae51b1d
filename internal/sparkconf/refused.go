// SPDX-License-Identifier: Apache-2.0

package sparkconf

import (
	"regexp"
	"strings"
)

var name = regexp.MustCompile(Name)

// Refused says whether a SparkPipeline may not hold a setting, and what to do
// instead. It answers as the rules of the CustomResourceDefinition do.
func Refused(setting string) (instead string, refused bool) {
	if !name.MatchString(setting) {
		return InsteadOfName, true
	}
	for _, g := range Owned {
		for _, pattern := range g.Settings {
			if matches(pattern, setting) {
				return g.Instead, true
			}
		}
	}
	if !strings.HasPrefix(setting, Kubernetes) {
		return "", false
	}
	for _, pattern := range OpenKubernetes {
		if matches(pattern, setting) {
			return "", false
		}
	}
	return InsteadOfKubernetes(), true
}

// InsteadOfName is the advice for a name that is no setting of Spark.
const InsteadOfName = "a name starts with spark. and holds letters, digits, dots, hyphens, underscores and asterisks"

// InsteadOfKubernetes is the advice for a setting below Kubernetes that is
// neither owned nor open.
func InsteadOfKubernetes() string {
	return "use a podTemplate instead; below " + Kubernetes + " these are allowed: " + strings.Join(OpenKubernetes, ", ")
}

// matches says whether a setting fits a pattern with at most one `*`.
func matches(pattern, setting string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == setting
	}
	return len(setting) >= len(before)+len(after) && strings.HasPrefix(setting, before) && strings.HasSuffix(setting, after)
}
