package node

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

type containerKind int

const (
	mainContainer containerKind = iota
	initContainer
	sidecar // an init container with restartPolicy Always
)

// container is one container of a worker's pod, with all its attempts.
type container struct {
	spec *corev1.Container
	kind containerKind

	state    corev1.ContainerState
	last     corev1.ContainerState // the final state of the previous attempt
	attempts int                   // started so far; the number of the last log file is attempts-1
	endedAt  time.Time             // end of the last attempt
	backoff  backoff
	retryAt  time.Time // while waiting: earliest time of the next attempt

	process      *process  // nil unless running
	terminating  bool      // SIGTERM was sent
	killDeadline time.Time // time of the SIGKILL
}

// exit is the result of an attempt's process.
type exit struct {
	container *container
	id        string
	code      int32
	at        time.Time
	message   string
}

const (
	reasonConfig = "CreateContainerConfigError"
	// The kubelet's reason that comes closest: there is no image to run.
	reasonNoCommand  = "ErrImagePull"
	messageNoCommand = "this node runs a container's command as a process of this machine and pulls no images: " +
		"set the container's command"

	retryInterval = time.Second // for errors that a change of other objects can resolve
	noRetry       = 100 * 365 * 24 * time.Hour
	// The exit codes that container runtimes report for a process that could not be
	// started, and for one that was killed.
	codeStartError = 128
	codeKilled     = 137
)

// restore sets the state from the status that an earlier node process reported. It
// returns whether the container was running then; that process no longer exists.
func (c *container) restore(s corev1.ContainerStatus) (wasRunning bool) {
	if s.State.Running == nil && s.State.Terminated == nil && s.LastTerminationState.Terminated == nil {
		return false // never started
	}
	c.attempts = int(s.RestartCount) + 1
	c.last = s.LastTerminationState
	switch {
	case s.State.Terminated != nil:
		c.state = s.State
	case s.State.Running != nil:
		wasRunning = true
		c.state.Terminated = &corev1.ContainerStateTerminated{
			ExitCode:    codeKilled,
			Reason:      reasonNodeRestarted,
			Message:     messageNodeRestarted,
			StartedAt:   s.State.Running.StartedAt,
			FinishedAt:  metav1.Now(),
			ContainerID: s.ContainerID,
		}
	default: // between two attempts
		c.state.Terminated = s.LastTerminationState.Terminated
	}
	c.endedAt = c.state.Terminated.FinishedAt.Time
	return wasRunning
}

func (c *container) succeeded() bool {
	return c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
}

// isFinished reports whether the container has ended and the restart policy does not
// restart it.
func (c *container) isFinished(pod *corev1.Pod) bool {
	t := c.state.Terminated
	switch {
	case t == nil:
		return false
	case c.kind == initContainer && t.ExitCode == 0:
		return true // also if the pod's policy is Always
	case c.kind == initContainer && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return false
	}
	return !podutil.ContainerShouldRestart(*c.spec, pod.Spec, t.ExitCode)
}

// setWaiting sets the waiting state and delays the next attempt.
func (w *worker) setWaiting(c *container, now time.Time, reason, message string) {
	if c.state.Terminated != nil {
		c.last = c.state
	}
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	c.retryAt = now.Add(retryInterval)
	if reason == reasonNoCommand {
		c.retryAt = now.Add(noRetry)
	}
	w.wakeBy(c.retryAt)
}

// setBackOff sets the CrashLoopBackOff state and delays the next attempt.
func (c *container) setBackOff(until time.Time, pod *corev1.Pod) {
	c.last = c.state
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff",
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
			c.backoff.delay, c.spec.Name, pod.Name, pod.Namespace, pod.UID),
	}}
	c.retryAt = until
}

// launch starts the next attempt and sets the container's state.
func (w *worker) launch(nodeCtx context.Context, c *container, now time.Time) {
	if len(c.spec.Command) == 0 {
		w.setWaiting(c, now, reasonNoCommand, messageNoCommand)
		return
	}
	env, err := w.node.environment(nodeCtx, w.pod, c.spec)
	if err != nil {
		w.setWaiting(c, now, reasonConfig, err.Error())
		return
	}
	if c.attempts > 0 {
		c.backoff.recordRestart(now)
		if c.state.Terminated != nil {
			c.last = c.state
		}
	}
	attempt := c.attempts
	c.attempts++
	c.terminating, c.killDeadline, c.retryAt = false, time.Time{}, time.Time{}
	p, err := w.node.startProcess(w.pod, c.spec, attempt, env)
	if err != nil {
		c.endedAt = now
		c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode:    codeStartError,
			Reason:      "StartError",
			Message:     err.Error(),
			StartedAt:   metav1.NewTime(now),
			FinishedAt:  metav1.NewTime(now),
			ContainerID: containerID(w.pod, c),
		}}
		w.wakeBy(now) // the next round handles the failed start
		return
	}
	c.process = p
	c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}}
	id := containerID(w.pod, c)
	go func() {
		e := p.wait()
		e.container, e.id = c, id
		w.exits <- e
	}()
}

// recordExit sets the terminated state.
func (c *container) recordExit(e exit) {
	c.process, c.endedAt = nil, e.at
	reason := "Completed"
	if e.code != 0 {
		reason = "Error"
	}
	t := &corev1.ContainerStateTerminated{
		ExitCode:    e.code,
		Reason:      reason,
		Message:     e.message,
		FinishedAt:  metav1.NewTime(e.at),
		ContainerID: e.id,
	}
	if c.state.Running != nil {
		t.StartedAt = c.state.Running.StartedAt
	}
	c.state = corev1.ContainerState{Terminated: t}
}

// containerID identifies the current attempt to clients.
func containerID(pod *corev1.Pod, c *container) string {
	return fmt.Sprintf("process://%s/%s/%d", pod.UID, c.spec.Name, c.attempts-1)
}

// backoff is the kubelet's: the first restart is immediate, the next 10 s after the exit,
// doubling up to 5 min; reset after 10 min without a restart.
type backoff struct {
	delay time.Duration
	since time.Time // time of the last restart
}

const (
	initialDelay = 10 * time.Second
	maxDelay     = 5 * time.Minute
	resetAfter   = 2 * maxDelay
)

// nextStart returns the earliest restart of a container that ended at t.
func (b *backoff) nextStart(t time.Time) time.Time {
	if t.Sub(b.since) > resetAfter {
		b.delay = 0
	}
	return t.Add(b.delay)
}

func (b *backoff) recordRestart(now time.Time) {
	b.delay, b.since = min(max(initialDelay, 2*b.delay), maxDelay), now
}
