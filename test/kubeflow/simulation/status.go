// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// errGone is that the pod of a machine is no longer there.
var errGone = errors.New("the pod is gone")

// update changes the pod's status.
func (m *machine) update(change func(*corev1.PodStatus)) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod := &corev1.Pod{}
		if err := m.cluster.live.Get(m.ctx, m.key, pod); err != nil {
			return err
		}
		if pod.UID != m.pod.UID {
			return errGone
		}
		if pod.DeletionTimestamp != nil {
			m.terminating.close()
		}
		change(&pod.Status)
		return m.cluster.client.Status().Update(m.ctx, pod)
	})
	if apierrors.IsNotFound(err) {
		return errGone
	}
	return err
}

func restartsOf(pod *corev1.Pod) int32 {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == sparkContainer(pod) {
			return c.RestartCount
		}
	}
	return 0
}

// sparkContainer is the name of the container that Spark runs in.
func sparkContainer(pod *corev1.Pod) string {
	if pod.Labels[spark.LabelRole] == spark.RoleDriver {
		return spark.DriverContainer
	}
	return spark.ExecutorContainer
}

func (m *machine) creating(s *corev1.PodStatus) {
	s.Phase = corev1.PodPending
	s.StartTime = ptr.To(metav1.Now())
	m.condition(s, corev1.PodScheduled, true)
	m.condition(s, corev1.PodInitialized, len(m.pod.Spec.InitContainers) == 0)
	m.setReady(s, false)
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	if len(m.pod.Spec.InitContainers) > 0 {
		waiting.Waiting.Reason = "PodInitializing"
	}
	s.ContainerStatuses, s.InitContainerStatuses = nil, nil
	for _, c := range m.pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: waiting, Started: ptr.To(false)})
	}
	for _, c := range m.pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: waiting, Started: ptr.To(false)})
	}
}

// initEnded is the end of an init container.
func (m *machine) initEnded(s *corev1.PodStatus, index int, exit Exit) {
	reason := "Completed"
	if exit.Code != 0 {
		reason = "Error"
	}
	c := &s.InitContainerStatuses[index]
	c.Ready = exit.Code == 0
	c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit.Code, Reason: reason,
		Message: exit.Message, StartedAt: metav1.Now(), FinishedAt: metav1.Now()}}
	m.condition(s, corev1.PodInitialized, c.Ready && index == len(s.InitContainerStatuses)-1)
}

// refused is the end of a pod whose init container failed. Its other containers
// wait for ever.
func (m *machine) refused(s *corev1.PodStatus) {
	s.Phase = corev1.PodFailed
	m.setReady(s, false)
}

// setRunning writes that the container runs. Without a probe it is ready at once.
func (m *machine) setRunning(restarts int32) error {
	if !m.cluster.options.Kubelet && restarts == 0 {
		return nil
	}
	address := m.cluster.address()
	return m.update(func(s *corev1.PodStatus) {
		s.Phase = corev1.PodRunning
		if s.PodIP == "" {
			s.PodIP, s.PodIPs = address, []corev1.PodIP{{IP: address}}
		}
		m.condition(s, corev1.PodInitialized, true)
		for i := range s.ContainerStatuses {
			c := &s.ContainerStatuses[i]
			c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
			c.Started = ptr.To(true)
			if c.Name == sparkContainer(m.pod) {
				c.RestartCount = restarts
			} else {
				c.Ready = true
			}
		}
		m.setReady(s, !m.probed())
	})
}

// probed says whether the container must pass a probe to be ready.
func (m *machine) probed() bool {
	for _, c := range m.pod.Spec.Containers {
		if c.Name == sparkContainer(m.pod) {
			return c.ReadinessProbe != nil || c.StartupProbe != nil
		}
	}
	return false
}

func (m *machine) setReady(s *corev1.PodStatus, ready bool) {
	for i := range s.ContainerStatuses {
		if s.ContainerStatuses[i].Name == sparkContainer(m.pod) {
			s.ContainerStatuses[i].Ready = ready
		}
	}
	m.condition(s, corev1.ContainersReady, ready)
	m.condition(s, corev1.PodReady, ready)
}

func (m *machine) state(s *corev1.PodStatus, state corev1.ContainerState, restarts int32) {
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		if c.Name != sparkContainer(m.pod) {
			continue
		}
		if c.State.Terminated != nil {
			c.LastTerminationState = c.State
		}
		c.State, c.Started, c.RestartCount = state, ptr.To(false), restarts
	}
	m.setReady(s, false)
}

func (m *machine) terminated(s *corev1.PodStatus, exit Exit, reason string, restarts int32) {
	started := metav1.Now()
	for _, c := range s.ContainerStatuses {
		if c.Name == sparkContainer(m.pod) && c.State.Running != nil {
			started = c.State.Running.StartedAt
		}
	}
	m.state(s, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exit.Code, Reason: reason, Message: exit.Message, StartedAt: started, FinishedAt: metav1.Now()}}, restarts)
}

func (m *machine) backingOff(s *corev1.PodStatus, restarts int32) {
	m.state(s, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}, restarts)
}

func (m *machine) finished(s *corev1.PodStatus, exit Exit, reason string, restarts int32) {
	m.terminated(s, exit, reason, restarts)
	s.Phase = corev1.PodFailed
	if exit.Code == 0 {
		s.Phase = corev1.PodSucceeded
	}
}

func (m *machine) condition(s *corev1.PodStatus, of corev1.PodConditionType, is bool) {
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type == of {
			if s.Conditions[i].Status != status {
				s.Conditions[i].Status, s.Conditions[i].LastTransitionTime = status, metav1.Now()
			}
			return
		}
	}
	s.Conditions = append(s.Conditions, corev1.PodCondition{Type: of, Status: status, LastTransitionTime: metav1.Now()})
}
