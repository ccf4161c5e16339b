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
	callTimeout        = 15 * time.Second
	initialReportDelay = 100 * time.Millisecond
	maxReportDelay     = 5 * time.Second
)

// report writes the status to the API server. It sets w.finished, but not before the API
// server has accepted the final status or the object is deleted. Like the kubelet, it
// skips states between two reports.
func (w *worker) report(nodeCtx context.Context, now time.Time) {
	if w.cause >= nodeStopping {
		w.finished = w.hasNoProcess()
		return
	}
	if now.Before(w.reportNotBefore) {
		w.wakeBy(w.reportNotBefore)
		return
	}
	ctx, cancel := context.WithTimeout(nodeCtx, callTimeout)
	defer cancel()

	status := w.status(metav1.NewTime(now))
	if !equality.Semantic.DeepEqual(status, w.reported) {
		if err := w.node.patchStatus(ctx, w.pod, status); err != nil {
			w.retryReport(nodeCtx, "report the status", err)
			return
		}
		w.reported, w.failures = status, 0
	}
	if !w.hasNoProcess() {
		return
	}
	if w.cause == deleted {
		if err := w.node.deletePod(ctx, w.pod); err != nil && !apierrors.IsNotFound(err) {
			w.retryReport(nodeCtx, "delete", err)
			return
		}
		w.finished = true
		return
	}
	w.finished = isTerminal(status.Phase)
}

// retryReport schedules another attempt, or ends the worker if the object is deleted.
func (w *worker) retryReport(nodeCtx context.Context, what string, err error) {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && w.node.isReplaced(nodeCtx, w.pod) {
		w.cause = objectDeleted
		w.wakeBy(time.Now())
		return
	}
	if nodeCtx.Err() == nil {
		w.node.log.Printf("pod %s: %s: %v", key(w.pod), what, err)
	}
	wait := min(initialReportDelay<<min(w.failures, 10), maxReportDelay)
	w.failures++
	w.reportNotBefore = time.Now().Add(wait)
	w.wakeBy(w.reportNotBefore)
}

// isReplaced reports whether the pod is deleted or another pod has its name.
func (n *Node) isReplaced(nodeCtx context.Context, pod *corev1.Pod) bool {
	ctx, cancel := context.WithTimeout(nodeCtx, callTimeout)
	defer cancel()
	now, err := n.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID
}

// patchStatus fails with a conflict if another pod has the name. It sends no resource
// version: only the node writes these fields, and the API server merges the conditions of
// other writers.
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
