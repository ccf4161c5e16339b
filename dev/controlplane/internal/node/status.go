package node

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

func isTerminal(p corev1.PodPhase) bool { return podutil.IsPodPhaseTerminal(p) }

// phase returns the pod's phase by the kubelet's rules.
func (w *worker) phase() corev1.PodPhase {
	unsuccessful := slices.ContainsFunc(w.mainContainers(), func(c *container) bool { return !c.succeeded() })
	switch {
	case w.hasNoProcess() && w.cause == deadlineExceeded:
		return corev1.PodFailed
	case w.hasNoProcess() && (w.cause == deleted || w.isCompleted()):
		if unsuccessful {
			return corev1.PodFailed
		}
		return corev1.PodSucceeded
	case slices.ContainsFunc(w.mainContainers(), func(c *container) bool { return c.attempts == 0 }):
		return corev1.PodPending
	default:
		return corev1.PodRunning
	}
}

// status returns the pod's current status.
func (w *worker) status(now metav1.Time) corev1.PodStatus {
	s := corev1.PodStatus{
		ObservedGeneration: w.pod.Generation,
		Phase:              w.phase(),
		StartTime:          &w.startTime,
		HostIP:             address,
		HostIPs:            []corev1.HostIP{{IP: address}},
		PodIP:              address,
		PodIPs:             []corev1.PodIP{{IP: address}},
	}
	for _, c := range w.containers {
		status := w.containerStatus(c, isTerminal(s.Phase))
		if c.kind == mainContainer {
			s.ContainerStatuses = append(s.ContainerStatuses, status)
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, status)
		}
	}
	if s.Phase == corev1.PodFailed {
		switch {
		case w.cause == deadlineExceeded:
			s.Reason, s.Message = reasonDeadline, messageDeadline
		case w.wasRunning && w.cause == notTerminating && slices.ContainsFunc(w.containers, diedWithNode):
			s.Reason, s.Message = reasonNodeRestarted, messageNodeRestarted
		}
	}
	s.Conditions = w.conditions(now, s)
	return s
}

func diedWithNode(c *container) bool {
	return c.state.Terminated != nil && c.state.Terminated.Reason == reasonNodeRestarted
}

func (w *worker) containerStatus(c *container, podIsTerminal bool) corev1.ContainerStatus {
	running := c.state.Running != nil
	s := corev1.ContainerStatus{
		Name:                 c.spec.Name,
		Image:                c.spec.Image,
		State:                c.state,
		LastTerminationState: c.last,
		Started:              &running,
		Ready:                running || c.kind == initContainer && c.succeeded(),
		RestartCount:         int32(max(0, c.attempts-1)),
	}
	if c.attempts > 0 {
		s.ContainerID = containerID(w.pod, c)
	}
	switch {
	case c.state.Running != nil || c.state.Terminated != nil:
	case podIsTerminal && c.last.Terminated != nil: // it waited for another attempt
		s.State, s.LastTerminationState = c.last, corev1.ContainerState{}
	case podIsTerminal && w.cause != notTerminating: // it will not start any more
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: codeKilled,
			Reason:   "ContainerStatusUnknown",
			Message:  "the pod ended before the container started",
		}}
	case c.state.Waiting == nil:
		reason := "ContainerCreating"
		if len(w.pod.Spec.InitContainers) > 0 {
			reason = "PodInitializing"
		}
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason}
	}
	return s
}

// conditions returns the kubelet's conditions; the patch does not change those of others.
func (w *worker) conditions(now metav1.Time, s corev1.PodStatus) []corev1.PodCondition {
	initialized := !slices.ContainsFunc(w.containers, func(c *container) bool {
		return c.kind == initContainer && !c.succeeded() || c.kind == sidecar && c.attempts == 0
	})
	running := !isTerminal(s.Phase) && !slices.ContainsFunc(w.containers, func(c *container) bool {
		return c.kind != initContainer && c.state.Running == nil
	})
	gatesReady := !slices.ContainsFunc(w.pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool {
		_, c := podutil.GetPodCondition(&w.pod.Status, g.ConditionType)
		return c == nil || c.Status != corev1.ConditionTrue
	})
	notReadyReason := "ContainersNotReady"
	switch s.Phase {
	case corev1.PodSucceeded:
		notReadyReason = "PodCompleted"
	case corev1.PodFailed:
		notReadyReason = "PodFailed"
	}
	started := w.volumesReady || slices.ContainsFunc(w.containers, func(c *container) bool { return c.attempts > 0 })

	var all []corev1.PodCondition
	set := func(kind corev1.PodConditionType, isTrue bool, reason string) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, ObservedGeneration: w.pod.Generation}
		if !isTrue {
			c.Status, c.Reason = corev1.ConditionFalse, reason
		}
		if _, previous := podutil.GetPodCondition(&w.reported, kind); previous != nil && previous.Status == c.Status {
			c.LastTransitionTime = previous.LastTransitionTime
		}
		all = append(all, c)
	}
	set(corev1.PodReadyToStartContainers, started && !isTerminal(s.Phase), "")
	set(corev1.PodInitialized, initialized, "ContainersNotInitialized")
	set(corev1.ContainersReady, running, notReadyReason)
	switch {
	case running && !gatesReady:
		set(corev1.PodReady, false, "ReadinessGatesNotReady")
	default:
		set(corev1.PodReady, running, notReadyReason)
	}
	return all
}
