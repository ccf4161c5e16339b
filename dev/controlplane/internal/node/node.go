// Package node is a Kubernetes node whose pods are processes of this machine.
//
// It implements the kubelet's lifecycle of a pod (phases, exit codes, restarts, back-off,
// deadlines, graceful deletion, logs) but not its environment: no images, no isolation, no
// mounts, no probes, no pod network. It also replaces the scheduler: every schedulable pod
// is bound to this node.
//
//	node.go       starting and stopping the node; one worker for each of its pods
//	register.go   the Node object and its Lease
//	bind.go       binding pending pods; deleting pods without a worker
//	worker.go     the reconcile loop of one pod
//	container.go  one container: starting, ending, back-off
//	process.go    one process: starting, terminating, its exit
//	status.go     the pod's status
//	report.go     writing the status to the API server
//	env.go        environment variables
//	volumes.go    volumes as folders, the pod's credentials
//	logfile.go    writing log files
//	logread.go    reading log files
//	server.go     the HTTPS endpoint for `kubectl logs`
package node

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"

	"eventcenter.io/dev/controlplane/internal/spawn"
)

// Config configures a node.
type Config struct {
	Name       string
	Dir        string // one folder per pod, by UID
	Kubeconfig string // of a cluster admin
	ServerPort int    // port of the API server on 127.0.0.1
	CA         []byte // PEM of the cluster's authority
	CertFile   string // serving certificate of the log endpoint
	KeyFile    string
	LogsClient string // the only user that may use the log endpoint
}

// Node is a running node.
type Node struct {
	cfg    Config
	client kubernetes.Interface
	pods   corelisters.PodLister
	guard  *spawn.Guard
	log    *log.Logger
	logs   *openLogs
	queue  workqueue.TypedRateLimitingInterface[string]

	cancel  context.CancelFunc // stops the workers and all other goroutines
	timeout time.Duration      // set before cancel: the time limit for the pods to end
	running sync.WaitGroup     // all goroutines that Stop waits for

	mu       sync.Mutex
	stopping bool // no further goroutine may start
	// workers contains every pod of this node that exists in the API, also those whose
	// worker is done (nil if the pod had ended before this node started): a late event must
	// not start a worker again.
	workers map[types.UID]*worker
}

// Start registers the node and resumes its pods. It returns when the node is Ready.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	restCfg, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return nil, err
	}
	restCfg.QPS, restCfg.Burst = 500, 1000 // hundreds of Jobs a minute, several calls each
	restCfg.ContentType = "application/vnd.kubernetes.protobuf"
	restCfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(restCfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(cfg.Dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	guard, err := spawn.NewGuard(volumesVariable + "=" + cfg.Dir + "/")
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg:     cfg,
		client:  client,
		guard:   guard,
		log:     log.New(logFile, "", log.LstdFlags|log.Lmicroseconds),
		logs:    newOpenLogs(),
		workers: map[types.UID]*worker{},
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 10*time.Second)),
	}
	// Not a child of ctx: Stop ends the pods, with a time limit.
	nodeCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	if err := n.start(ctx, nodeCtx); err != nil {
		n.Stop(0)
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx, nodeCtx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(n.client, 0, informers.WithTransform(withoutManagedFields))
	informer := factory.Core().V1().Pods().Informer()
	n.pods = factory.Core().V1().Pods().Lister()

	port, err := n.serveLogs(nodeCtx)
	if err != nil {
		return err
	}
	if err := n.register(ctx, port); err != nil {
		return fmt.Errorf("register node %s: %w", n.cfg.Name, err)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { n.handlePod(nodeCtx, o.(*corev1.Pod)) },
		UpdateFunc: func(before, now any) {
			// After an interrupted watch, a deleted pod and a new one of the same name can appear as one update.
			if old := before.(*corev1.Pod); old.UID != now.(*corev1.Pod).UID {
				n.handleDeletion(old.UID)
			}
			n.handlePod(nodeCtx, now.(*corev1.Pod))
		},
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			n.handleDeletion(o.(*corev1.Pod).UID)
		},
	}); err != nil {
		return err
	}
	factory.Start(nodeCtx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	if err := n.removeOrphanedFolders(); err != nil {
		return err
	}
	for range queueWorkers {
		n.running.Go(func() { n.runQueueWorker(nodeCtx) })
	}
	n.running.Go(func() { <-nodeCtx.Done(); n.queue.ShutDown() })
	n.running.Go(func() { n.heartbeat(nodeCtx) })
	return nil
}

// Stop ends every pod's processes (SIGTERM, after timeout SIGKILL) and the node. It reports
// nothing to the API server: the next start reads the unchanged pods and reports their end,
// as after a crash.
func (n *Node) Stop(timeout time.Duration) {
	n.mu.Lock()
	n.stopping, n.timeout = true, timeout
	n.mu.Unlock()
	n.cancel()
	n.running.Wait()
	if err := n.guard.Close(); err != nil {
		n.log.Printf("close the guard: %v", err)
	}
}

// handlePod handles a new or changed pod. The informer calls it from a single goroutine.
func (n *Node) handlePod(nodeCtx context.Context, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		if isSchedulable(pod) {
			n.queue.Add(key(pod))
		}
		return
	}
	if pod.Spec.NodeName != n.cfg.Name {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	w, known := n.workers[pod.UID]
	switch {
	case known && !w.isDone():
		w.update(pod)
	case known || podutil.IsPodTerminal(pod):
		n.workers[pod.UID] = w
		if isDeletionPending(pod) {
			n.queue.Add(key(pod))
		}
	case n.stopping:
		// The next start resumes the pod.
	default:
		w := newWorker(n, pod)
		n.workers[pod.UID] = w
		n.running.Go(func() {
			w.run(nodeCtx)
			// The pod may have been deleted just before the worker ended.
			n.queue.Add(key(pod))
		})
	}
}

// handleDeletion handles a pod that no longer exists.
func (n *Node) handleDeletion(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w, known := n.workers[uid]
	delete(n.workers, uid)
	if !known || n.stopping {
		return // the next start removes the folder
	}
	remove := func() {
		if err := os.RemoveAll(n.podDir(uid)); err != nil {
			n.log.Printf("remove the folder of pod %s: %v", uid, err)
		}
	}
	if w == nil {
		remove()
		return
	}
	w.update(nil)
	n.running.Go(func() { <-w.done; remove() })
}

// removeOrphanedFolders removes the folders of pods that were deleted while no node ran.
func (n *Node) removeOrphanedFolders() error {
	entries, err := os.ReadDir(n.cfg.Dir)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range entries {
		if _, known := n.workers[types.UID(e.Name())]; !known {
			if err := os.RemoveAll(filepath.Join(n.cfg.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// podDir returns the pod's folder. It contains one working folder per container, with the
// container's name, and the entries below; a container's name cannot contain an underscore.
func (n *Node) podDir(uid types.UID) string { return filepath.Join(n.cfg.Dir, string(uid)) }

const (
	logsFolder     = "_logs"     // _logs/CONTAINER/ATTEMPT.log
	messagesFolder = "_messages" // _messages/CONTAINER, the termination message
	volumesFolder  = "_volumes"  // _volumes/VOLUME/...
	kubeconfigFile = "_kubeconfig"
)

func key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// withoutManagedFields reduces the size of the cache.
func withoutManagedFields(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return o, nil
}
