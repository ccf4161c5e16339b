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

// container is one container of a worker's pod, over all its attempts.
type container struct {
	spec *corev1.Container
	kind containerKind

	state    corev1.ContainerState
	last     corev1.ContainerState // how the attempt before ended
	attempts int                   // started so far; the log file of the last is attempts-1
	endedAt  time.Time             // of the last attempt
	backoff  backoff
	retryAt  time.Time // while waiting: not to be started before

	process *process  // nil unless running
	asked   bool      // the process was asked to end
	killBy  time.Time // and is killed then
}

// exit is what a process leaves behind.
type exit struct {
	container *container
	id        string
	code      int32
	at        time.Time
	message   string
}

const (
	reasonConfig = "CreateContainerConfigError"
	// There is no image to run; the kubelet's word that people know comes closest.
	reasonNoCommand  = "ErrImagePull"
	messageNoCommand = "this node runs a container's command as a process of this machine and pulls no images: " +
		"set the container's command"

	retryInterval = time.Second // of what other objects may yet make possible
	never         = 100 * 365 * 24 * time.Hour
	// What container runtimes report for a process that could not be started, and
	// for one that was killed.
	codeStartError = 128
	codeKilled     = 137
)

// adopt takes over what an earlier node process reported, and tells whether the
// container was running then: its process is gone.
func (c *container) adopt(s corev1.ContainerStatus) (wasRunning bool) {
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

// endedForGood: it has ended, and the restart policy leaves it at that.
func (c *container) endedForGood(pod *corev1.Pod) bool {
	t := c.state.Terminated
	switch {
	case t == nil:
		return false
	case c.kind == initContainer && t.ExitCode == 0:
		return true // also where the pod's policy is Always
	case c.kind == initContainer && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return false
	}
	return !podutil.ContainerShouldRestart(*c.spec, pod.Spec, t.ExitCode)
}

// hold keeps the container from starting and says why.
func (w *worker) hold(c *container, now time.Time, reason, message string) {
	if c.state.Terminated != nil {
		c.last = c.state
	}
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	c.retryAt = now.Add(retryInterval)
	if reason == reasonNoCommand {
		c.retryAt = now.Add(never)
	}
	w.wake(c.retryAt)
}

// crashLoop puts the next attempt off.
func (c *container) crashLoop(until time.Time, pod *corev1.Pod) {
	c.last = c.state
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff",
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
			c.backoff.delay, c.spec.Name, pod.Name, pod.Namespace, pod.UID),
	}}
	c.retryAt = until
}

// launch starts the next attempt. The state afterwards says what became of it.
func (w *worker) launch(life context.Context, c *container, now time.Time) {
	if len(c.spec.Command) == 0 {
		w.hold(c, now, reasonNoCommand, messageNoCommand)
		return
	}
	env, err := w.node.environment(life, w.pod, c.spec)
	if err != nil {
		w.hold(c, now, reasonConfig, err.Error())
		return
	}
	if c.attempts > 0 {
		c.backoff.restarted(now)
		if c.state.Terminated != nil {
			c.last = c.state
		}
	}
	attempt := c.attempts
	c.attempts++
	c.asked, c.killBy, c.retryAt = false, time.Time{}, time.Time{}
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
		w.wake(now) // what follows from this is decided in another round
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

// ended takes note that the process is gone.
func (c *container) ended(e exit) {
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

// containerID names the current attempt; clients tell attempts apart by it.
func containerID(pod *corev1.Pod, c *container) string {
	return fmt.Sprintf("process://%s/%s/%d", pod.UID, c.spec.Name, c.attempts-1)
}

// backoff is the kubelet's: the first restart at once, then 10 s after the exit,
// doubling up to 5 min; forgotten after 10 min without a restart.
type backoff struct {
	delay time.Duration
	since time.Time // of the last restart
}

const (
	firstDelay  = 10 * time.Second
	longestWait = 5 * time.Minute
	forgetAfter = 2 * longestWait
)

// earliest is when a container that ended at t may be started again.
func (b *backoff) earliest(t time.Time) time.Time {
	if t.Sub(b.since) > forgetAfter {
		b.delay = 0
	}
	return t.Add(b.delay)
}

func (b *backoff) restarted(now time.Time) {
	b.delay, b.since = min(max(firstDelay, 2*b.delay), longestWait), now
}
