package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

const choreWorkers = 8

// mayBind tells whether the default scheduler would look at the pod. Node selectors,
// affinity and resources are not looked at: there is one node, and it takes all.
func mayBind(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" &&
		pod.DeletionTimestamp == nil &&
		len(pod.Spec.SchedulingGates) == 0 &&
		pod.Spec.SchedulerName == corev1.DefaultSchedulerName
}

// deletionPending: somebody deleted the pod gracefully, so the API server waits for its node.
func deletionPending(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds > 0
}

// doChores makes the calls that belong to no running pod.
func (n *Node) doChores(ctx context.Context) {
	for {
		k, shutdown := n.chores.Get()
		if shutdown {
			return
		}
		if err := n.chore(ctx, k); err != nil && ctx.Err() == nil {
			n.log.Printf("pod %s: %v", k, err)
			n.chores.AddRateLimited(k)
		} else {
			n.chores.Forget(k)
		}
		n.chores.Done(k)
	}
}

func (n *Node) chore(ctx context.Context, k string) error {
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
	case mayBind(pod):
		err = n.client.CoreV1().Pods(namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: n.cfg.Name},
		}, metav1.CreateOptions{})
	case pod.Spec.NodeName == n.cfg.Name && deletionPending(pod) && !n.attended(pod):
		err = n.deleteObject(ctx, pod)
	}
	// Not there any more, or bound already as the cache will show: nothing to do.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// attended tells whether a worker looks after the pod.
func (n *Node) attended(pod *corev1.Pod) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.workers[pod.UID]
	return w != nil && !w.over()
}

// deleteObject removes the pod from the API; its processes must be gone.
func (n *Node) deleteObject(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	return n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
}
