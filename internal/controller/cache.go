// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// CacheOptions say what the manager's caches hold: of children those with the
// inventory labels, trimmed to what the engine remembers them by. namespaces
// limits them in namespaced mode; none means all.
func CacheOptions(namespaces []string) (cache.Options, error) {
	children, err := exists(desired.LabelPipelineNamespace)
	if err != nil {
		return cache.Options{}, err
	}
	o := cache.Options{
		DefaultLabelSelector: children,
		DefaultTransform:     apply.Trim,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.SparkPipeline{}:    {Label: labels.Everything(), Transform: cache.TransformStripManagedFields()},
			&corev1.Pod{}:                {Transform: observe.TrimPod},
			&batchv1.CronJob{}:           {Transform: orMetadata(observe.TrimCronJob)},
			&batchv1.Job{}:               {Transform: orMetadata(observe.TrimJob)},
			&appsv1.StatefulSet{}:        {Label: labels.Everything(), Transform: observe.TrimStatefulSet},
			&sparkapi.SparkApplication{}: {Transform: observe.TrimApplication},
		},
		// A read of something that nobody watches is a mistake, not a reason to
		// start watching it.
		ReaderFailOnMissingInformer: true,
	}
	if len(namespaces) > 0 {
		o.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range namespaces {
			o.DefaultNamespaces[ns] = cache.Config{}
		}
		return o, nil
	}
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(crdKind)
	o.ByObject[crd] = cache.ByObject{Label: labels.Everything(), Transform: nameOnly}
	o.ByObject[&corev1.Namespace{}] = cache.ByObject{Label: labels.Everything(), Transform: apply.Trim}
	o.ByObject[&discoveryv1.EndpointSlice{}] = cache.ByObject{
		Label:      labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: "kubernetes"}),
		Namespaces: map[string]cache.Config{metav1.NamespaceDefault: {}},
	}
	return o, nil
}

// orMetadata trims whole objects of a kind by trim and their metadata as that of
// every child: a transform is for all forms in which a kind is watched.
func orMetadata(trim func(any) (any, error)) func(any) (any, error) {
	return func(o any) (any, error) {
		if _, ok := o.(*metav1.PartialObjectMetadata); ok {
			return apply.Trim(o)
		}
		return trim(o)
	}
}

// exists selects objects that have a label, whatever its value.
func exists(label string) (labels.Selector, error) {
	requirement, err := labels.NewRequirement(label, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("select by label %s: %w", label, err)
	}
	return labels.NewSelector().Add(*requirement), nil
}

// nameOnly keeps of a CRD its name, which says what it brings, and whether it is
// going.
func nameOnly(o any) (any, error) {
	crd, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: crd.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: crd.Name, UID: crd.UID, ResourceVersion: crd.ResourceVersion, DeletionTimestamp: crd.DeletionTimestamp}}, nil
}
