package node

import (
	"context"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	corev1 "k8s.io/api/core/v1"
)

const (
	callPatience      = 15 * time.Second
	firstReportRetry  = 100 * time.Millisecond
	longestReportWait = 5 * time.Second
)

// report brings the API server up to date and decides whether the worker's task is
// done: never before the final status is accepted or the object is gone. States that
// were passed through between two reports are left out, as the kubelet does.
func (w *worker) report(life context.Context, now time.Time) {
	if w.ending >= nodeStops {
		w.finished = w.idle()
		return
	}
	if now.Before(w.reportAt) {
		w.wake(w.reportAt)
		return
	}
	ctx, cancel := context.WithTimeout(life, callPatience)
	defer cancel()

	status := w.status(metav1.NewTime(now))
	if !equality.Semantic.DeepEqual(status, w.reported) {
		if err := w.node.patchStatus(ctx, w.pod, status); err != nil {
			w.failed(life, "report the status", err)
			return
		}
		w.reported, w.failures = status, 0
	}
	if !w.idle() {
		return
	}
	if w.ending == deleted {
		if err := w.node.deleteObject(ctx, w.pod); err != nil && !apierrors.IsNotFound(err) {
			w.failed(life, "delete", err)
			return
		}
		w.finished = true
		return
	}
	w.finished = terminal(status.Phase)
}

// failed arranges for another try, or for the end if there is nothing to report to.
func (w *worker) failed(life context.Context, what string, err error) {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && w.node.replaced(life, w.pod) {
		w.ending = objectGone
		w.wake(time.Now())
		return
	}
	if life.Err() == nil {
		w.node.log.Printf("pod %s: %s: %v", key(w.pod), what, err)
	}
	wait := min(firstReportRetry<<min(w.failures, 10), longestReportWait)
	w.failures++
	w.reportAt = time.Now().Add(wait)
	w.wake(w.reportAt)
}

// replaced tells whether the pod's name belongs to another pod now.
func (n *Node) replaced(life context.Context, pod *corev1.Pod) bool {
	ctx, cancel := context.WithTimeout(life, callPatience)
	defer cancel()
	now, err := n.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID
}

// patchStatus is refused with a conflict if the name belongs to another pod now. It
// states no resource version: only the node writes these fields, and what others write
// (conditions of their own) is merged.
func (n *Node) patchStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status,
	})
	if err != nil {
		return err
	}
	_, err = n.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name,
		types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
