package node

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// worker manages one pod from its binding to its end. One goroutine owns all its fields;
// the others send it messages. Each round decides from the state alone, never from the
// message that started it.
type worker struct {
	node    *Node
	updates chan *corev1.Pod // only the latest; nil: the object is deleted
	exits   chan exit        // capacity of one per container, so senders never block
	done    chan struct{}    // closed when the worker ends

	pod            *corev1.Pod // latest version
	containers     []*container
	startTime      metav1.Time
	volumesReady   bool
	volumesRetryAt time.Time // earliest time of the next attempt
	wasRunning     bool      // the pod was running in an earlier node process

	cause        terminationCause
	killDeadline time.Time // time of the SIGKILL; zero unless terminating

	reported        corev1.PodStatus // the status that the API server has accepted
	failures        int              // consecutive failures of the current report or deletion
	reportNotBefore time.Time        // earliest time of the next attempt after a failure
	finished        bool
	wakeAt          time.Time // time of the next round at the latest
}

// terminationCause is the reason why a pod's processes have to end.
type terminationCause int

const (
	notTerminating   terminationCause = iota
	deleted                           // the pod was deleted
	deadlineExceeded                  // activeDeadlineSeconds
	nodeStopping                      // this process is stopping; nothing is reported
	objectDeleted                     // the API object no longer exists; nothing is reported
)

const (
	// The kubelet's text, for which people search.
	reasonDeadline  = "DeadlineExceeded"
	messageDeadline = "Pod was active on the node longer than the specified deadline"

	reasonNodeRestarted  = "NodeRestarted"
	messageNodeRestarted = "the node that ran this pod was stopped or killed, and its processes with it"
)

func newWorker(n *Node, pod *corev1.Pod) *worker {
	w := &worker{
		node:      n,
		pod:       pod,
		updates:   make(chan *corev1.Pod, 1),
		done:      make(chan struct{}),
		reported:  *pod.Status.DeepCopy(),
		startTime: metav1.Now(),
	}
	if pod.Status.StartTime != nil {
		w.startTime = *pod.Status.StartTime
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		kind := initContainer
		if podutil.IsRestartableInitContainer(c) {
			kind = sidecar
		}
		w.addContainer(c, kind, pod.Status.InitContainerStatuses)
	}
	for i := range pod.Spec.Containers {
		w.addContainer(&pod.Spec.Containers[i], mainContainer, pod.Status.ContainerStatuses)
	}
	w.exits = make(chan exit, len(w.containers))
	return w
}

// addContainer adds a container, with the status that an earlier node process reported.
func (w *worker) addContainer(spec *corev1.Container, kind containerKind, statuses []corev1.ContainerStatus) {
	c := &container{spec: spec, kind: kind}
	if status, ok := podutil.GetContainerStatus(statuses, spec.Name); ok && c.restore(status) {
		w.wasRunning = true
	}
	w.containers = append(w.containers, c)
}

// update sends the latest version of the pod to the worker; nil means it is deleted.
// Only one goroutine may call it at a time.
func (w *worker) update(pod *corev1.Pod) {
	select {
	case <-w.updates: // superseded
	default:
	}
	w.updates <- pod
}

// isDone reports whether the worker has ended. A nil worker has.
func (w *worker) isDone() bool {
	if w == nil {
		return true
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *worker) run(nodeCtx context.Context) {
	defer close(w.done)
	for {
		now := time.Now()
		w.wakeAt = time.Time{}
		w.checkTermination(nodeCtx, now)
		w.reconcile(nodeCtx, now)
		w.report(nodeCtx, now)
		if w.finished {
			return
		}
		w.waitForEvent(nodeCtx)
	}
}

// waitForEvent blocks until a message arrives or until wakeAt, and processes all pending
// messages.
func (w *worker) waitForEvent(nodeCtx context.Context) {
	var alarm <-chan time.Time
	if !w.wakeAt.IsZero() {
		timer := time.NewTimer(time.Until(w.wakeAt))
		defer timer.Stop()
		alarm = timer.C
	}
	stop := nodeCtx.Done()
	if w.cause >= nodeStopping {
		stop = nil // already handled, or irrelevant
	}
	select {
	case e := <-w.exits:
		e.container.recordExit(e)
	case pod := <-w.updates:
		w.setPod(pod)
	case <-stop:
	case <-alarm:
	}
	for {
		select {
		case e := <-w.exits:
			e.container.recordExit(e)
		case pod := <-w.updates:
			w.setPod(pod)
		default:
			return
		}
	}
}

func (w *worker) setPod(pod *corev1.Pod) {
	if pod == nil {
		w.cause = objectDeleted
		return
	}
	w.pod = pod
}

// wakeBy schedules a round at t at the latest.
func (w *worker) wakeBy(t time.Time) {
	if w.wakeAt.IsZero() || t.Before(w.wakeAt) {
		w.wakeAt = t
	}
}

// checkTermination sets the termination cause. The first cause is reported; a later one can
// bring the SIGKILL forward but not delay it.
func (w *worker) checkTermination(nodeCtx context.Context, now time.Time) {
	grace := w.gracePeriod()
	setCause := func(cause terminationCause, grace time.Duration) {
		// A later cause replaces the first only if it suppresses the report.
		if w.cause == notTerminating || cause >= nodeStopping {
			w.cause = cause
		}
		if by := now.Add(grace); w.killDeadline.IsZero() || by.Before(w.killDeadline) {
			w.killDeadline = by
		}
	}
	switch {
	case w.cause == objectDeleted:
		setCause(objectDeleted, 0)
		return
	case nodeCtx.Err() != nil && w.cause != nodeStopping:
		setCause(nodeStopping, min(grace, w.node.timeout))
		return
	}
	if w.pod.DeletionTimestamp != nil {
		if s := w.pod.DeletionGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		setCause(deleted, grace)
		return
	}
	if s := w.pod.Spec.ActiveDeadlineSeconds; s != nil && w.cause == notTerminating {
		if at := w.startTime.Add(time.Duration(*s) * time.Second); now.Before(at) {
			w.wakeBy(at)
		} else if !w.hasNoProcess() || !isTerminal(w.phase()) {
			setCause(deadlineExceeded, grace)
		}
	}
}

// gracePeriod returns the time between SIGTERM and SIGKILL.
func (w *worker) gracePeriod() time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := w.pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	return time.Duration(seconds) * time.Second
}

// reconcile starts the containers that have to run and terminates the others.
func (w *worker) reconcile(nodeCtx context.Context, now time.Time) {
	if w.cause != notTerminating {
		for _, c := range w.containers {
			w.terminate(c, now, w.killDeadline)
		}
		return
	}
	if w.isCompleted() { // only sidecars may still run
		by := now.Add(w.gracePeriod())
		for _, c := range w.containers {
			w.terminate(c, now, by)
		}
		return
	}
	if w.prepareVolumes(nodeCtx, now) && w.runInitContainers(nodeCtx, now) {
		for _, c := range w.mainContainers() {
			w.ensureRunning(nodeCtx, c, now)
		}
	}
}

// isCompleted reports whether an init container has failed, or all main containers have
// ended, and will not be restarted.
func (w *worker) isCompleted() bool {
	for _, c := range w.containers {
		if c.kind == initContainer && c.isFinished(w.pod) && !c.succeeded() {
			return true
		}
	}
	return !slices.ContainsFunc(w.mainContainers(), func(c *container) bool { return !c.isFinished(w.pod) })
}

// prepareVolumes creates the pod's volumes before any container starts. It returns whether
// they are ready.
func (w *worker) prepareVolumes(nodeCtx context.Context, now time.Time) bool {
	if w.volumesReady {
		return true
	}
	if now.Before(w.volumesRetryAt) {
		w.wakeBy(w.volumesRetryAt)
		return false
	}
	err := w.node.createVolumes(nodeCtx, w.pod)
	w.volumesReady = err == nil
	w.volumesRetryAt = now.Add(retryInterval)
	for _, c := range w.containers {
		switch {
		case err == nil:
			c.retryAt = time.Time{}
		case c.attempts == 0:
			w.setWaiting(c, now, reasonConfig, err.Error())
		}
	}
	return err == nil
}

// runInitContainers runs the init containers in order. It returns whether all have succeeded.
func (w *worker) runInitContainers(nodeCtx context.Context, now time.Time) bool {
	mainStarted := slices.ContainsFunc(w.mainContainers(), func(c *container) bool { return c.attempts > 0 })
	for _, c := range w.containers {
		switch {
		case c.kind == mainContainer:
			continue
		case c.kind == sidecar:
			w.ensureRunning(nodeCtx, c, now)
			if c.attempts == 0 {
				return false
			}
		case mainStarted || c.succeeded():
			continue
		default:
			w.ensureRunning(nodeCtx, c, now)
			if !c.succeeded() {
				return false
			}
		}
	}
	return true
}

// ensureRunning starts the container unless it runs, has to wait or is finished.
func (w *worker) ensureRunning(nodeCtx context.Context, c *container, now time.Time) {
	switch {
	case c.process != nil || c.isFinished(w.pod):
		return
	case c.state.Terminated != nil:
		if at := c.backoff.nextStart(c.endedAt); now.Before(at) {
			c.setBackOff(at, w.pod)
		}
	}
	if now.Before(c.retryAt) {
		w.wakeBy(c.retryAt)
		return
	}
	w.launch(nodeCtx, c, now)
}

// terminate sends SIGTERM to the container's process, and SIGKILL at killDeadline.
func (w *worker) terminate(c *container, now time.Time, killDeadline time.Time) {
	if c.process == nil {
		return
	}
	if !c.terminating {
		c.terminating, c.killDeadline = true, killDeadline
		c.process.terminate()
	}
	if killDeadline.Before(c.killDeadline) {
		c.killDeadline = killDeadline
	}
	if now.Before(c.killDeadline) {
		w.wakeBy(c.killDeadline)
		return
	}
	c.process.kill()
}

// hasNoProcess reports whether no process of the pod is left.
func (w *worker) hasNoProcess() bool {
	return !slices.ContainsFunc(w.containers, func(c *container) bool { return c.process != nil })
}

func (w *worker) mainContainers() []*container {
	return w.containers[len(w.pod.Spec.InitContainers):]
}
