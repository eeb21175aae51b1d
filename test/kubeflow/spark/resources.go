// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	overheadFactor = 0.1
	overheadMinMiB = 384
)

// resources of a container: memory is heap and overhead, as request and limit.
func (r *Run) resources(of role) (corev1.ResourceRequirements, error) {
	heap, err := mebibytes(of.memory, cmp.Or(r.Conf[of.memory], "1g"))
	if err != nil {
		return corev1.ResourceRequirements{}, err
	}
	overhead := max(int64(math.Floor(float64(heap)*overheadFactor)), overheadMinMiB)
	if text := r.Conf[of.overhead]; text != "" {
		if overhead, err = mebibytes(of.overhead, text); err != nil {
			return corev1.ResourceRequirements{}, err
		}
	}
	memory := *resource.NewQuantity((heap+overhead)<<20, resource.BinarySI)
	out := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: memory},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
	}
	request := of.prefix + "request.cores"
	if out.Requests[corev1.ResourceCPU], err = quantity(request, cmp.Or(r.Conf[request], r.Conf[of.cores], "1")); err != nil {
		return out, err
	}
	limit := of.prefix + "limit.cores"
	if text := r.Conf[limit]; text != "" {
		out.Limits[corev1.ResourceCPU], err = quantity(limit, text)
	}
	return out, err
}

func quantity(key, text string) (resource.Quantity, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return q, settingError(key, text, "a quantity of Kubernetes")
	}
	return q, nil
}

// memoryPattern is a memory size of Spark; without a unit it is in MiB.
var memoryPattern = regexp.MustCompile(`^([0-9]+)([kmgtp]?)b?$`)

// mebibytes reads a memory size of Spark.
func mebibytes(key, text string) (int64, error) {
	m := memoryPattern.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return 0, settingError(key, text, "a memory size such as 512m or 4g")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, settingError(key, text, "a memory size such as 512m or 4g")
	}
	switch m[2] {
	case "k":
		return n >> 10, nil
	case "g":
		return n << 10, nil
	case "t":
		return n << 20, nil
	case "p":
		return n << 30, nil
	}
	return n, nil
}
