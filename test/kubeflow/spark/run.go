// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"strings"

	"github.com/google/uuid"

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

// NewRun begins a run under fresh ids. The application's status has the submission
// id.
func NewRun(app *sparkapi.SparkApplication) *Run {
	const short = 16
	return &Run{
		App: app, Conf: Resolve(Settings(app)), ID: "spark-" + hexID(),
		Prefix: app.Name + "-" + hexID()[:short],
	}
}

func hexID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// labels are those of a role's pods.
func (r *Run) labels(role, prefix string) map[string]string {
	labels := r.Conf.under(prefix)
	labels[LabelRole] = role
	labels[LabelAppID] = r.ID
	labels[LabelSparkAppName] = r.App.Name
	labels[LabelVersion] = r.App.Spec.SparkVersion
	return labels
}
