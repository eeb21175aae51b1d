// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
)

// scenarios has what was done, by recording.
var scenarios = map[string]scenario{
	"driver-sigkill":     {act: (*replay).kill},
	"driver-pod-deleted": {act: func(r *replay) { Expect(admin.Delete(r.ctx, r.driver())).To(Succeed()) }},
	"live-spec-change": {act: func(r *replay) {
		r.change(func(app *sparkapi.SparkApplication) { app.Spec.Executor.Instances = ptr.To[int32](3) })
	}},
	"suspend-resume": {act: func(r *replay) {
		r.setSuspend(true)
		r.until("driver 1: gone")
		r.setSuspend(false)
	}},
	"delete": {act: func(r *replay) { r.delete() }},
	"delete-and-recreate": {act: func(r *replay) {
		r.delete()
		r.until("driver 1: Running, running, ready, being deleted")
		r.create(r.application(2))
	}},
	"recreate-while-driver-terminates": {
		script: simulation.Script{SlowStop: true},
		act: func(r *replay) {
			r.delete()
			r.until("driver 1: Running, running, ready, being deleted")
			r.create(r.application(2))
		},
	},
	"stream-ends-exit0": {act: func(r *replay) {
		r.create(r.application(1))
		r.settled(2)
		Expect(r.spark.EndStream(r.driver(), 0)).To(Succeed())
	}},
	"crash-until-failed": {
		script: simulation.Script{CrashEarly: ptr.To[int32](1)},
		act:    (*replay).createRecorded,
	},
	"sigkill-no-retries": {executors: true, act: func(r *replay) {
		r.create(r.application(1))
		r.settled(2)
		r.killDriver()
	}},
	"executor-sigkill":          {executors: true, act: func(r *replay) { r.killExecutor(0) }},
	"executor-sigkill-pod-kept": {executors: true, act: func(r *replay) { r.killExecutor(1) }},
	"scale-up-down": {executors: true, act: func(r *replay) {
		r.scale(3)
		r.until("executor 1-2-1: Running, running, id 1")
		r.scale(1)
	}},
	"controller-down-driver-sigkill": {executors: true, act: func(r *replay) {
		r.stopController()
		r.killDriver()
		r.until("executor 1-0-1: Running, exit 1, 2 restarts, id 1")
		r.startController()
	}},
	"guard-passes": {act: (*replay).createRecorded},
	"guard-refuses": {
		script: simulation.Script{Init: map[string]simulation.Exit{"guard": {Code: 42, Message: "refused"}}},
		act:    (*replay).createRecorded,
	},
	"annotate-while-submitting": {act: func(r *replay) {
		r.pace.during = func() {
			r.change(func(app *sparkapi.SparkApplication) {
				app.Annotations = map[string]string{"example.com/note": "written"}
			})
		}
		r.create(r.application(1))
	}},
	"suspend-while-submitting": {act: func(r *replay) {
		r.pace.during = func() { r.setSuspend(true) }
		r.create(r.application(1))
	}},
	"delete-while-submitting": {act: func(r *replay) {
		r.pace.during = r.delete
		r.create(r.application(1))
	}},
	"late-readiness-dns-trap": {
		executors: true,
		script:    simulation.Script{LateReadiness: true},
		act:       (*replay).createRecorded,
	},
}

func (r *replay) kill() { r.killDriver() }

func (r *replay) createRecorded() { r.create(r.application(1)) }

func (r *replay) setSuspend(suspend bool) {
	r.change(func(app *sparkapi.SparkApplication) { app.Spec.Suspend = &suspend })
}
