// Package node is a Kubernetes node whose pods are processes of this machine.
//
// It keeps the kubelet's promises about a pod's life (phases, exit codes, restarts,
// back-off, deadlines, graceful deletion, logs) and none about its surroundings: no
// images, no isolation, no mounts, no probes, no pod network. The same process does
// the scheduler's work: every pod that may be scheduled is bound to this node.
//
//	node.go       which pods are ours, and who looks after each
//	register.go   the Node object and its Lease
//	bind.go       binding pending pods; deleting what nobody looks after
//	worker.go     one pod's life: what has to happen next
//	container.go  one container: starting, ending, back-off
//	process.go    one process and what is left of it
//	status.go     what the API server is told about a pod
//	report.go     telling it
//	env.go        environment variables
//	volumes.go    volumes as folders, the pod's credentials
//	logfile.go    log files: writing them
//	logread.go    log files: reading them
//	server.go     the HTTPS endpoint behind `kubectl logs`
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

// Config is what a node has to know.
type Config struct {
	Name       string
	Dir        string // one folder per pod, by UID
	Kubeconfig string // may do anything
	ServerPort int    // of the API server on 127.0.0.1
	CA         []byte // PEM of the cluster's authority
	CertFile   string // serving certificate of the log endpoint
	KeyFile    string
	LogsClient string // the only user whom the log endpoint serves
}

// Node is a running node.
type Node struct {
	cfg    Config
	client kubernetes.Interface
	pods   corelisters.PodLister
	guard  *spawn.Guard
	log    *log.Logger
	logs   *openLogs
	chores workqueue.TypedRateLimitingInterface[string]

	cancel   context.CancelFunc // stops workers and everything else
	patience time.Duration      // set before cancel: how long pods may take to end
	running  sync.WaitGroup     // all goroutines that Stop waits for

	mu       sync.Mutex
	stopping bool // no further goroutine may start
	// workers holds every pod of ours that exists in the API, also those whose life is
	// over (nil: before this node started): a late event must not start one again.
	workers map[types.UID]*worker
}

// Start registers the node and takes up its pods. It returns once the node is Ready.
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
		chores: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 10*time.Second)),
	}
	// Not ctx's child: Stop decides when pods end, and how long they may take.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	if err := n.start(ctx, life); err != nil {
		n.Stop(0)
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx, life context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(n.client, 0, informers.WithTransform(withoutManagedFields))
	informer := factory.Core().V1().Pods().Informer()
	n.pods = factory.Core().V1().Pods().Lister()

	port, err := n.serveLogs(life)
	if err != nil {
		return err
	}
	if err := n.register(ctx, port); err != nil {
		return fmt.Errorf("register node %s: %w", n.cfg.Name, err)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { n.seen(life, o.(*corev1.Pod)) },
		UpdateFunc: func(before, now any) {
			// A watch that was interrupted can show a pod and its successor of the same name as one change.
			if old := before.(*corev1.Pod); old.UID != now.(*corev1.Pod).UID {
				n.vanished(old.UID)
			}
			n.seen(life, now.(*corev1.Pod))
		},
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			n.vanished(o.(*corev1.Pod).UID)
		},
	}); err != nil {
		return err
	}
	factory.Start(life.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	if err := n.removeStrangeFolders(); err != nil {
		return err
	}
	for range choreWorkers {
		n.running.Go(func() { n.doChores(life) })
	}
	n.running.Go(func() { <-life.Done(); n.chores.ShutDown() })
	n.running.Go(func() { n.heartbeat(life) })
	return nil
}

// Stop ends every pod's processes (SIGTERM, after patience SIGKILL) and the node. The
// API server is told nothing: the next start finds the pods as they were and decides
// what their end meant, exactly as after a crash.
func (n *Node) Stop(patience time.Duration) {
	n.mu.Lock()
	n.stopping, n.patience = true, patience
	n.mu.Unlock()
	n.cancel()
	n.running.Wait()
	if err := n.guard.Close(); err != nil {
		n.log.Printf("end the guard: %v", err)
	}
}

// seen is told about each new or changed pod, always from the same goroutine.
func (n *Node) seen(life context.Context, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		if mayBind(pod) {
			n.chores.Add(key(pod))
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
	case known && !w.over():
		w.update(pod)
	case known || podutil.IsPodTerminal(pod):
		n.workers[pod.UID] = w
		if deletionPending(pod) {
			n.chores.Add(key(pod))
		}
	case n.stopping:
		// The next start takes it up.
	default:
		w := newWorker(n, pod)
		n.workers[pod.UID] = w
		n.running.Go(func() {
			w.run(life)
			// A deletion asked for in the last moment found nobody looking.
			n.chores.Add(key(pod))
		})
	}
}

// vanished is told about each pod that no longer exists.
func (n *Node) vanished(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w, known := n.workers[uid]
	delete(n.workers, uid)
	if !known || n.stopping {
		return // what is left in the folder is removed by the next start
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

// removeStrangeFolders removes the folders of pods that were deleted while no node ran.
func (n *Node) removeStrangeFolders() error {
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

// A pod's folder holds one working folder per container, named like it, and these;
// an underscore cannot occur in a container's name.
func (n *Node) podDir(uid types.UID) string { return filepath.Join(n.cfg.Dir, string(uid)) }

const (
	logsFolder     = "_logs"     // _logs/CONTAINER/ATTEMPT.log
	messagesFolder = "_messages" // _messages/CONTAINER, the termination message
	volumesFolder  = "_volumes"  // _volumes/VOLUME/...
	kubeconfigFile = "_kubeconfig"
)

func key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// withoutManagedFields keeps the cache small.
func withoutManagedFields(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return o, nil
}
