// SPDX-License-Identifier: Apache-2.0

package kubeflow

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/internal/sparkapi/testdata"
)

// Scheme knows what the stand-in works with.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, apiextensionsv1.AddToScheme, sparkapi.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build the stand-in's scheme: %w", err)
		}
	}
	return scheme, nil
}

// InstallCRD installs kubeflow's CustomResourceDefinition of SparkApplication,
// unless it is there, and returns when the API server serves it.
func InstallCRD(ctx context.Context, config *rest.Config) error {
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("install the CRD of SparkApplication: %w", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(testdata.SparkApplicationCRD, crd); err != nil {
		return fmt.Errorf("read the CRD of SparkApplication: %w", err)
	}
	if err := c.Create(ctx, crd); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("install the CRD of SparkApplication: %w", err)
	}
	const poll, patience = 100 * time.Millisecond, time.Minute
	err = wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		for _, condition := range crd.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the CRD of SparkApplication: %w", err)
	}
	return nil
}

// NewManager is a manager for the controller or for a simulation, in some
// namespaces or, when none is named, in all. It serves no metrics and elects no
// leader, and its requests are not throttled.
func NewManager(config *rest.Config, namespaces ...string) (manager.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	options := cache.Options{}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, n := range namespaces {
			options.DefaultNamespaces[n] = cache.Config{}
		}
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	mgr, err := manager.New(config, manager.Options{Scheme: scheme, Cache: options, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		return nil, fmt.Errorf("make the stand-in's manager: %w", err)
	}
	return mgr, nil
}
