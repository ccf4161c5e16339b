package node

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// worker looks after one pod from its binding to its end. One goroutine owns all its
// fields; the others send it messages. Each round asks "what has to happen now?" from
// the state alone, never from the message that woke it.
type worker struct {
	node    *Node
	updates chan *corev1.Pod // at most the newest; nil: the object is gone
	exits   chan exit        // one place per container, so no sender ever waits
	done    chan struct{}    // closed when the pod's life is over

	pod         *corev1.Pod // newest known
	containers  []*container
	startTime   metav1.Time
	volumesMade bool
	volumesAt   time.Time // not to be tried again before
	restarted   bool      // the pod was running under an earlier node process

	ending ending
	killBy time.Time // zero unless ending; then SIGKILL follows SIGTERM

	reported corev1.PodStatus // what the API server has accepted
	failures int              // of the current report or deletion, in a row
	reportAt time.Time        // not before, after a failure
	finished bool
	wakeAt   time.Time // earliest time at which something has to happen
}

// ending is why a pod's processes have to end.
type ending int

const (
	notEnding    ending = iota
	deleted             // somebody deleted the pod
	pastDeadline        // activeDeadlineSeconds
	nodeStops           // this process ends; nothing is reported
	objectGone          // the API object does not exist any more; nothing is reported
)

const (
	// The kubelet's own wording, which people search for.
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
		w.take(c, kind, pod.Status.InitContainerStatuses)
	}
	for i := range pod.Spec.Containers {
		w.take(&pod.Spec.Containers[i], mainContainer, pod.Status.ContainerStatuses)
	}
	w.exits = make(chan exit, len(w.containers))
	return w
}

// take adds a container, with what an earlier node process reported of it.
func (w *worker) take(spec *corev1.Container, kind containerKind, statuses []corev1.ContainerStatus) {
	c := &container{spec: spec, kind: kind}
	if status, ok := podutil.GetContainerStatus(statuses, spec.Name); ok && c.adopt(status) {
		w.restarted = true
	}
	w.containers = append(w.containers, c)
}

// update tells the worker about the newest state of its pod; nil means it is gone.
// Only ever called by one goroutine at a time.
func (w *worker) update(pod *corev1.Pod) {
	select {
	case <-w.updates: // outdated
	default:
	}
	w.updates <- pod
}

// over tells whether the pod's life is over. A nil worker's always is.
func (w *worker) over() bool {
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

func (w *worker) run(life context.Context) {
	defer close(w.done)
	for {
		now := time.Now()
		w.wakeAt = time.Time{}
		w.notice(life, now)
		w.advance(life, now)
		w.report(life, now)
		if w.finished {
			return
		}
		w.await(life)
	}
}

// await blocks until a message arrives or wakeAt comes, and takes up all messages there are.
func (w *worker) await(life context.Context) {
	var alarm <-chan time.Time
	if !w.wakeAt.IsZero() {
		timer := time.NewTimer(time.Until(w.wakeAt))
		defer timer.Stop()
		alarm = timer.C
	}
	stop := life.Done()
	if w.ending >= nodeStops {
		stop = nil // noticed already, or of no consequence
	}
	select {
	case e := <-w.exits:
		e.container.ended(e)
	case pod := <-w.updates:
		w.receive(pod)
	case <-stop:
	case <-alarm:
	}
	for {
		select {
		case e := <-w.exits:
			e.container.ended(e)
		case pod := <-w.updates:
			w.receive(pod)
		default:
			return
		}
	}
}

func (w *worker) receive(pod *corev1.Pod) {
	if pod == nil {
		w.ending = objectGone
		return
	}
	w.pod = pod
}

// wake asks for a round at t at the latest.
func (w *worker) wake(t time.Time) {
	if w.wakeAt.IsZero() || t.Before(w.wakeAt) {
		w.wakeAt = t
	}
}

// notice finds reasons to end the pod. The first one is the one that is reported; each
// may bring the SIGKILL forward, none puts it off.
func (w *worker) notice(life context.Context, now time.Time) {
	grace := w.grace()
	end := func(why ending, grace time.Duration) {
		// Later reasons only count if nothing is to be reported any more.
		if w.ending == notEnding || why >= nodeStops {
			w.ending = why
		}
		if by := now.Add(grace); w.killBy.IsZero() || by.Before(w.killBy) {
			w.killBy = by
		}
	}
	switch {
	case w.ending == objectGone:
		end(objectGone, 0)
		return
	case life.Err() != nil && w.ending != nodeStops:
		end(nodeStops, min(grace, w.node.patience))
		return
	}
	if w.pod.DeletionTimestamp != nil {
		if s := w.pod.DeletionGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		end(deleted, grace)
		return
	}
	if s := w.pod.Spec.ActiveDeadlineSeconds; s != nil && w.ending == notEnding {
		if at := w.startTime.Add(time.Duration(*s) * time.Second); now.Before(at) {
			w.wake(at)
		} else if !w.idle() || !terminal(w.phase()) {
			end(pastDeadline, grace)
		}
	}
}

// grace is how long the pod wants to have between SIGTERM and SIGKILL.
func (w *worker) grace() time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := w.pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	return time.Duration(seconds) * time.Second
}

// advance starts what has to run now and ends what must not run any longer.
func (w *worker) advance(life context.Context, now time.Time) {
	if w.ending != notEnding {
		for _, c := range w.containers {
			w.terminate(c, now, w.killBy)
		}
		return
	}
	if w.through() { // sidecars have nobody left to serve
		by := now.Add(w.grace())
		for _, c := range w.containers {
			w.terminate(c, now, by)
		}
		return
	}
	if w.prepare(life, now) && w.initialise(life, now) {
		for _, c := range w.mains() {
			w.ensure(life, c, now)
		}
	}
}

// through: an init container has failed for good, or all main containers have ended for good.
func (w *worker) through() bool {
	for _, c := range w.containers {
		if c.kind == initContainer && c.endedForGood(w.pod) && !c.succeeded() {
			return true
		}
	}
	return !slices.ContainsFunc(w.mains(), func(c *container) bool { return !c.endedForGood(w.pod) })
}

// prepare makes the pod's volumes, before anything runs.
func (w *worker) prepare(life context.Context, now time.Time) bool {
	if w.volumesMade {
		return true
	}
	if now.Before(w.volumesAt) {
		w.wake(w.volumesAt)
		return false
	}
	err := w.node.makeVolumes(life, w.pod)
	w.volumesMade = err == nil
	w.volumesAt = now.Add(retryInterval)
	for _, c := range w.containers {
		switch {
		case err == nil:
			c.retryAt = time.Time{}
		case c.attempts == 0:
			w.hold(c, now, reasonConfig, err.Error())
		}
	}
	return err == nil
}

// initialise runs the init containers one after another, and tells whether all are through.
func (w *worker) initialise(life context.Context, now time.Time) bool {
	mainsStarted := slices.ContainsFunc(w.mains(), func(c *container) bool { return c.attempts > 0 })
	for _, c := range w.containers {
		switch {
		case c.kind == mainContainer:
			continue
		case c.kind == sidecar:
			w.ensure(life, c, now)
			if c.attempts == 0 {
				return false
			}
		case mainsStarted || c.succeeded():
			continue
		default:
			w.ensure(life, c, now)
			if !c.succeeded() {
				return false
			}
		}
	}
	return true
}

// ensure sees to it that the container runs, unless it has to wait or its life is over.
func (w *worker) ensure(life context.Context, c *container, now time.Time) {
	switch {
	case c.process != nil || c.endedForGood(w.pod):
		return
	case c.state.Terminated != nil:
		if at := c.backoff.earliest(c.endedAt); now.Before(at) {
			c.crashLoop(at, w.pod)
		}
	}
	if now.Before(c.retryAt) {
		w.wake(c.retryAt)
		return
	}
	w.launch(life, c, now)
}

// terminate asks the container's process to end, and kills it if it has not by killBy.
func (w *worker) terminate(c *container, now time.Time, killBy time.Time) {
	if c.process == nil {
		return
	}
	if !c.asked {
		c.asked, c.killBy = true, killBy
		c.process.terminate()
	}
	if killBy.Before(c.killBy) {
		c.killBy = killBy
	}
	if now.Before(c.killBy) {
		w.wake(c.killBy)
		return
	}
	c.process.kill()
}

// idle: no process of the pod is left.
func (w *worker) idle() bool {
	return !slices.ContainsFunc(w.containers, func(c *container) bool { return c.process != nil })
}

func (w *worker) mains() []*container {
	return w.containers[len(w.pod.Spec.InitContainers):]
}
