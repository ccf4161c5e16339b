package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

const queueWorkers = 8

// isSchedulable reports whether the default scheduler would consider the pod. It ignores
// node selectors, affinity and resources: the only node accepts every pod.
func isSchedulable(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" &&
		pod.DeletionTimestamp == nil &&
		len(pod.Spec.SchedulingGates) == 0 &&
		pod.Spec.SchedulerName == corev1.DefaultSchedulerName
}

// isDeletionPending reports whether the pod was deleted gracefully, so that the API server
// waits for its node.
func isDeletionPending(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds > 0
}

// runQueueWorker processes the queue until it shuts down.
func (n *Node) runQueueWorker(ctx context.Context) {
	for {
		k, shutdown := n.queue.Get()
		if shutdown {
			return
		}
		if err := n.syncPod(ctx, k); err != nil && ctx.Err() == nil {
			n.log.Printf("pod %s: %v", k, err)
			n.queue.AddRateLimited(k)
		} else {
			n.queue.Forget(k)
		}
		n.queue.Done(k)
	}
}

// syncPod binds a pending pod, or deletes a terminating pod that has no active worker.
func (n *Node) syncPod(ctx context.Context, k string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(k)
	if err != nil {
		return err
	}
	pod, err := n.pods.Pods(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case isSchedulable(pod):
		err = n.client.CoreV1().Pods(namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: n.cfg.Name},
		}, metav1.CreateOptions{})
	case pod.Spec.NodeName == n.cfg.Name && isDeletionPending(pod) && !n.hasActiveWorker(pod):
		err = n.deletePod(ctx, pod)
	}
	// The pod was deleted or is already bound; the cache will show it.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// hasActiveWorker reports whether a worker manages the pod.
func (n *Node) hasActiveWorker(pod *corev1.Pod) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.workers[pod.UID]
	return w != nil && !w.isDone()
}

// deletePod deletes the pod's API object. Its processes must have exited before.
func (n *Node) deletePod(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	return n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
}
