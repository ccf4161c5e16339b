package node

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

func terminal(p corev1.PodPhase) bool { return podutil.IsPodPhaseTerminal(p) }

// phase follows the kubelet's rules.
func (w *worker) phase() corev1.PodPhase {
	unsuccessful := slices.ContainsFunc(w.mains(), func(c *container) bool { return !c.succeeded() })
	switch {
	case w.idle() && w.ending == pastDeadline:
		return corev1.PodFailed
	case w.idle() && (w.ending == deleted || w.through()):
		if unsuccessful {
			return corev1.PodFailed
		}
		return corev1.PodSucceeded
	case slices.ContainsFunc(w.mains(), func(c *container) bool { return c.attempts == 0 }):
		return corev1.PodPending
	default:
		return corev1.PodRunning
	}
}

// status is what the API server should know.
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
		status := w.containerStatus(c, terminal(s.Phase))
		if c.kind == mainContainer {
			s.ContainerStatuses = append(s.ContainerStatuses, status)
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, status)
		}
	}
	if s.Phase == corev1.PodFailed {
		switch {
		case w.ending == pastDeadline:
			s.Reason, s.Message = reasonDeadline, messageDeadline
		case w.restarted && w.ending == notEnding && slices.ContainsFunc(w.containers, diedWithNode):
			s.Reason, s.Message = reasonNodeRestarted, messageNodeRestarted
		}
	}
	s.Conditions = w.conditions(now, s)
	return s
}

func diedWithNode(c *container) bool {
	return c.state.Terminated != nil && c.state.Terminated.Reason == reasonNodeRestarted
}

func (w *worker) containerStatus(c *container, podIsOver bool) corev1.ContainerStatus {
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
	case podIsOver && c.last.Terminated != nil: // it was waiting for another attempt
		s.State, s.LastTerminationState = c.last, corev1.ContainerState{}
	case podIsOver && w.ending != notEnding: // nobody will start it any more
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: codeKilled,
			Reason:   "ContainerStatusUnknown",
			Message:  "the pod was ended before the container was started",
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

// conditions are the kubelet's; those that others set are left alone by the patch.
func (w *worker) conditions(now metav1.Time, s corev1.PodStatus) []corev1.PodCondition {
	initialised := !slices.ContainsFunc(w.containers, func(c *container) bool {
		return c.kind == initContainer && !c.succeeded() || c.kind == sidecar && c.attempts == 0
	})
	running := !terminal(s.Phase) && !slices.ContainsFunc(w.containers, func(c *container) bool {
		return c.kind != initContainer && c.state.Running == nil
	})
	gates := !slices.ContainsFunc(w.pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool {
		_, c := podutil.GetPodCondition(&w.pod.Status, g.ConditionType)
		return c == nil || c.Status != corev1.ConditionTrue
	})
	why := "ContainersNotReady"
	switch s.Phase {
	case corev1.PodSucceeded:
		why = "PodCompleted"
	case corev1.PodFailed:
		why = "PodFailed"
	}
	started := w.volumesMade || slices.ContainsFunc(w.containers, func(c *container) bool { return c.attempts > 0 })

	var all []corev1.PodCondition
	set := func(kind corev1.PodConditionType, is bool, reason string) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, ObservedGeneration: w.pod.Generation}
		if !is {
			c.Status, c.Reason = corev1.ConditionFalse, reason
		}
		if _, before := podutil.GetPodCondition(&w.reported, kind); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
		all = append(all, c)
	}
	set(corev1.PodReadyToStartContainers, started && !terminal(s.Phase), "")
	set(corev1.PodInitialized, initialised, "ContainersNotInitialized")
	set(corev1.ContainersReady, running, why)
	switch {
	case running && !gates:
		set(corev1.PodReady, false, "ReadinessGatesNotReady")
	default:
		set(corev1.PodReady, running, why)
	}
	return all
}
