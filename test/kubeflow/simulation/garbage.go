// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// owned are the kinds that the garbage collector looks after.
func owned() []client.ObjectList {
	return []client.ObjectList{&corev1.PodList{}, &appsv1.StatefulSetList{}, &corev1.ServiceList{}}
}

// addGarbageCollector adds a controller whose requests are owners: a namespace and
// a UID in place of a name. An owner is looked at when it is deleted and when
// something that it owns appears.
func (c *Cluster) addGarbageCollector(mgr manager.Manager) error {
	request := func(o client.Object, uid types.UID) reconcile.Request {
		return reconcile.Request{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: string(uid)}}
	}
	look := handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			for _, owner := range e.Object.GetOwnerReferences() {
				q.Add(request(e.Object, owner.UID))
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			q.Add(request(e.Object, e.Object.GetUID()))
		},
	}
	return ctrl.NewControllerManagedBy(mgr).Named("garbage-collector").
		Watches(&sparkapi.SparkApplication{}, look).Watches(&corev1.Pod{}, look).
		Watches(&appsv1.StatefulSet{}, look).Watches(&corev1.Service{}, look).
		WithOptions(controller.Options{SkipNameValidation: ptr.To(true)}).
		Complete(reconcile.Func(c.collect))
}

// collect deletes what an owner left behind.
func (c *Cluster) collect(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var failed []error
	for _, list := range owned() {
		if err := c.client.List(ctx, list, client.InNamespace(req.Namespace)); err != nil {
			return ctrl.Result{}, fmt.Errorf("list what may be garbage: %w", err)
		}
		for _, o := range items(list) {
			if o.GetDeletionTimestamp() == nil {
				failed = append(failed, c.collectOne(ctx, o, types.UID(req.Name)))
			}
		}
	}
	return ctrl.Result{}, errors.Join(failed...)
}

// collectOne deletes an object if this owner of it is gone.
func (c *Cluster) collectOne(ctx context.Context, o client.Object, uid types.UID) error {
	for _, ref := range o.GetOwnerReferences() {
		if ref.UID != uid {
			continue
		}
		gone, err := c.gone(ctx, o.GetNamespace(), ref)
		if err != nil || !gone {
			return err
		}
		err = c.client.Delete(ctx, o, client.Preconditions{UID: ptr.To(o.GetUID())}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete %s, whose owner is gone: %w", o.GetName(), err)
		}
	}
	return nil
}

func (c *Cluster) gone(ctx context.Context, namespace string, ref metav1.OwnerReference) (bool, error) {
	owner := &metav1.PartialObjectMetadata{}
	owner.SetGroupVersionKind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
	err := c.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, owner)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the owner %s %s: %w", ref.Kind, ref.Name, err)
	}
	return owner.UID != ref.UID, nil
}

func items(list client.ObjectList) []client.Object {
	var all []client.Object
	switch l := list.(type) {
	case *corev1.PodList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	case *appsv1.StatefulSetList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	case *corev1.ServiceList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	}
	return all
}
