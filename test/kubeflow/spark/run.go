// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"errors"
	"strings"

	"github.com/google/uuid"
	"k8s.io/utils/ptr"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Run is one submission of an application.
type Run struct {
	App  *sparkapi.SparkApplication
	Conf Conf
	// ID is Spark's own id of the application, another one in each run.
	ID string
	// Prefix begins the names of what the driver makes.
	Prefix string
}

// NewRun begins a run under fresh ids, of the application as it is now. Its status
// has the submission id.
func NewRun(app *sparkapi.SparkApplication) *Run {
	const short = 16
	return &Run{
		App: app.DeepCopy(), Conf: Resolve(Settings(app)), ID: "spark-" + hexID(),
		Prefix: app.Name + "-" + hexID()[:short],
	}
}

func hexID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// Check says why spark-submit would refuse an application without asking the API
// server: it opens a jar that names no class, and cannot open one of the image.
func (r *Run) Check() error {
	file := ptr.Deref(r.App.Spec.MainApplicationFile, "")
	script := strings.HasSuffix(file, ".py") || strings.HasSuffix(strings.ToUpper(file), ".R")
	if ptr.Deref(r.App.Spec.MainClass, "") == "" && strings.HasPrefix(file, "local:") && !script {
		return errors.New(`failed to get main class in JAR with error 'No FileSystem for scheme "local"'; please specify one with --class`)
	}
	return nil
}

// labels are those of a role's pods.
func (r *Run) labels(role, prefix string) map[string]string {
	labels := r.Conf.under(prefix)
	labels[LabelRole] = role
	labels[LabelAppID] = r.ID
	labels[LabelSparkAppName] = r.App.Name
	labels[LabelVersion] = r.App.Spec.SparkVersion
	return labels
}
