// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/md5" // Not for security: kubeflow shortens names so.
	"encoding/hex"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

const (
	uiPortName    = "spark-driver-ui-port"
	uiPort        = 4040
	nameMaxLength = 63
)

// deleteResources asks for the deletion of the driver pod and the UI service. It
// does not wait for it.
func (r *reconciler) deleteResources(ctx context.Context, app *sparkapi.SparkApplication) error {
	for _, o := range resources(app) {
		if err := r.Delete(ctx, o); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// resourcesGone says whether driver pod and UI service are gone, as the cache
// shows it.
func (r *reconciler) resourcesGone(ctx context.Context, app *sparkapi.SparkApplication) (bool, error) {
	for _, o := range resources(app) {
		err := r.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err == nil {
			return false, nil
		}
		if !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("look for %T %s: %w", o, o.GetName(), err)
		}
	}
	return true, nil
}

// resources are the objects of a run that the controller knows of.
func resources(app *sparkapi.SparkApplication) []client.Object {
	driver := app.Status.DriverInfo.PodName
	if driver == "" {
		driver = spark.DriverPodName(app)
	}
	all := []client.Object{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: driver}}}
	if name := app.Status.DriverInfo.WebUIServiceName; name != "" {
		all = append(all, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: name}})
	}
	return all
}

// ensureUIService makes the Service for the driver's UI and notes its address.
func (r *reconciler) ensureUIService(ctx context.Context, app *sparkapi.SparkApplication) error {
	port := int32(uiPort)
	if n, err := strconv.ParseInt(app.Spec.SparkConf["spark.ui.port"], 10, 32); err == nil {
		port = int32(n)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: app.Namespace, Name: shortened(app.Name, "ui-svc"),
			Labels:          map[string]string{spark.LabelAppName: app.Name},
			OwnerReferences: []metav1.OwnerReference{spark.OwnedBy(app)},
		},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{spark.LabelAppName: app.Name, spark.LabelRole: spark.RoleDriver},
			Ports:    []corev1.ServicePort{{Name: uiPortName, Port: port, TargetPort: intstr.FromInt32(port)}},
		},
	}
	if o := app.Spec.SparkUIOptions; o != nil {
		service.Annotations = o.ServiceAnnotations
		for k, v := range o.ServiceLabels {
			service.Labels[k] = v
		}
	}
	key := client.ObjectKeyFromObject(service)
	err := r.Create(ctx, service)
	if apierrors.IsAlreadyExists(err) {
		err = r.Get(ctx, key, service)
	}
	if err != nil {
		return fmt.Errorf("make the UI service %s: %w", key.Name, err)
	}
	info := &app.Status.DriverInfo
	info.WebUIServiceName, info.WebUIPort = service.Name, port
	info.WebUIAddress = fmt.Sprintf("%s:%d", service.Spec.ClusterIP, port)
	return nil
}

// shortened is a name with a suffix, cut and with a hash where it would be no
// label of DNS.
func shortened(name, suffix string) string {
	full := name + "-" + suffix
	if len(full) <= nameMaxLength {
		return full
	}
	sum := md5.Sum([]byte(full))
	const hash = 8
	return name[:nameMaxLength-len(suffix)-hash-2] + "-" + hex.EncodeToString(sum[:])[:hash] + "-" + suffix
}
