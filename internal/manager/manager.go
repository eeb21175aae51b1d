// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/controller"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=sparkpipeline-system
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// leaderID names the lease. Installs with different ids lead side by side.
const leaderID = "sparkpipeline-operator"

// Scheme holds every type that the operator writes or reads.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(desired.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	utilruntime.Must(sparkapi.AddToScheme(s))
	return s
}

// New makes a manager that is ready to start. It asks the API server which
// optional APIs are there, and so fails when it cannot be reached.
func New(api *rest.Config, o Options) (ctrl.Manager, error) {
	defaults, err := o.defaults()
	if err != nil {
		return nil, err
	}
	scheme := Scheme()
	mgr, err := ctrl.NewManager(api, managerOptions(scheme, o))
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	apis, err := controller.NewAPIs(scheme, mgr.GetRESTMapper())
	if err != nil {
		return nil, err
	}
	gauges := controller.NewMetrics()
	if err := o.registry().Register(gauges); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	r := &controller.Reconciler{
		Client: mgr.GetClient(), Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Scheme: scheme,
		Recorder: mgr.GetEventRecorder("sparkpipeline"), Clock: clock.RealClock{},
		Defaults: defaults, Limits: application.DefaultLimits, InstallID: o.InstallID,
		APIs: apis, Metrics: gauges, ClusterWide: len(o.namespaces()) == 0,
		Engine: apply.NewEngine(mgr.GetClient(), mgr.GetCache(), mgr.GetAPIReader()),
	}
	if o.ReadWatch {
		r.Reports = controller.NewReports()
	}
	if err := r.SetupWithManager(mgr, controller.Options{Workers: o.Workers}); err != nil {
		return nil, err
	}
	return mgr, addProbes(mgr)
}

func managerOptions(scheme *runtime.Scheme, o Options) ctrl.Options {
	caches, err := controller.CacheOptions(o.namespaces())
	utilruntime.Must(err) // The labels are constants.
	return ctrl.Options{
		Scheme: scheme,
		Cache:  caches,
		Logger: o.Logger,
		// Names of controllers are unique in a process; several operators in one
		// have the same.
		Controller: config.Controller{SkipNameValidation: new(o.Registry != nil)},
		Metrics: metricsserver.Options{
			BindAddress: o.MetricsAddress, SecureServing: true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		HealthProbeBindAddress:        o.ProbeAddress,
		PprofBindAddress:              o.ProfileAddress,
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              leaderID + "-" + o.InstallID,
		LeaderElectionNamespace:       o.LeaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &o.GracefulTimeout,
	}
}

func addProbes(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the liveness check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the readiness check: %w", err)
	}
	return nil
}
