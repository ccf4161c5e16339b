package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"eventcenter.io/dev/controlplane/internal/node"
	"eventcenter.io/dev/controlplane/internal/pki"
)

const upUsage = `Runs a cluster until SIGTERM or SIGINT. Everything listens on 127.0.0.1 only. When the
cluster is ready, prints one line:

  READY kubeconfig=PATH server=URL apiserver_pid=N controller_manager_pid=N

Starting again with the same --data-dir restores the same cluster.

Usage:
  controlplane up --data-dir DIR [--port N] [--node-name NAME]

Flags:
  --data-dir DIR     folder of the cluster's state, certificates, kubeconfigs and logs (required)
  --port N           port of the API server on 127.0.0.1; 0, the default, selects a free one
  --node-name NAME   name of the node, "local" by default; use the same name for every start

Exit codes: 0 stopped by a signal, 1 error, 2 invalid usage.
`

const (
	readyTimeout = 120 * time.Second
	pollInterval = 50 * time.Millisecond
	// In total below 15 s: the node, then the controller manager, then the API server.
	nodeStopTimeout  = 4 * time.Second
	childStopTimeout = 5 * time.Second
)

type options struct {
	dataDir  string
	port     int
	nodeName string
}

func parseOptions(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("up", flag.ContinueOnError)
	fs.StringVar(&o.dataDir, "data-dir", "", "")
	fs.IntVar(&o.port, "port", 0, "")
	fs.StringVar(&o.nodeName, "node-name", "local", "")
	fs.SetOutput(io.Discard) // the caller prints errors and help
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.dataDir == "":
		return o, errors.New("--data-dir is required")
	case o.port < 0 || o.port > 65535:
		return o, fmt.Errorf("--port %d is not between 0 and 65535", o.port)
	case len(validation.IsDNS1123Subdomain(o.nodeName)) > 0:
		return o, fmt.Errorf("--node-name %q is not a valid node name", o.nodeName)
	}
	return o, nil
}

// up runs the `up` command and returns the exit code.
func up(args []string) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(upUsage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "controlplane up: %v\n\n%s", err, upUsage)
		return exitUsage
	}
	// A closed output pipe must not end the cluster. (Notify, not Ignore: every pod would
	// inherit an ignored signal.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runCluster(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		return exitFailed
	}
	return 0
}

// runCluster starts the components in order, waits, and stops them in reverse order.
// It returns nil, or context.Canceled, after a signal to stop.
func runCluster(ctx context.Context, o options) error {
	begin := time.Now()
	logProgress := func(format string, a ...any) {
		fmt.Printf("%6.2fs %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, a...))
	}

	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()

	// The client library's messages about lost watches do not belong on the terminal.
	clientLog, err := os.Create(filepath.Join(dir, "client.log"))
	if err != nil {
		return err
	}
	defer clientLog.Close()
	klog.LogToStderr(false)
	klog.SetOutput(clientLog)
	defer klog.Flush()

	ca, err := pki.Open(dir)
	if err != nil {
		return err
	}
	etcd, etcdURL, err := startEtcd(ctx, dir)
	if err != nil {
		return err
	}
	defer etcd.Close()
	logProgress("etcd is ready")

	// As late as possible: a free port is not reserved until the server listens.
	port := o.port
	if port == 0 {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		port = ports[0]
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := writeConfig(ca, server, o.nodeName); err != nil {
		return err
	}
	exits := make(chan *child, 2)
	apiserver, err := startChild(dir, apiserverName, apiserverFlags(ca, etcdURL, port), exits)
	if err != nil {
		return err
	}
	defer apiserver.stop(childStopTimeout)
	admin, err := newClient(ca.Path("admin.kubeconfig"))
	if err != nil {
		return err
	}
	if err := waitFor(ctx, exits, "the API server is ready", admin.isAPIReady); err != nil {
		return err
	}
	logProgress("%s is ready, pid %d", apiserverName, apiserver.pid())

	manager, err := startChild(dir, controllerManagerName, controllerManagerFlags(ca), exits)
	if err != nil {
		return err
	}
	defer manager.stop(childStopTimeout)
	logProgress("%s is started, pid %d", controllerManagerName, manager.pid())

	// The node needs the API server for as long as its pods run, so it starts last and
	// stops first.
	pods, err := node.Start(ctx, node.Config{
		Name:       o.nodeName,
		Dir:        filepath.Join(dir, "pods"),
		Kubeconfig: ca.Path("node.kubeconfig"),
		ServerPort: port,
		CA:         ca.CertPEM(),
		CertFile:   ca.Path("node-serving.crt"),
		KeyFile:    ca.Path("node-serving.key"),
		LogsClient: kubeletClient,
	})
	if err != nil {
		return err
	}
	defer pods.Stop(nodeStopTimeout)
	logProgress("node %s is registered", o.nodeName)

	if err := waitFor(ctx, exits, "ServiceAccount default/default exists", admin.hasDefaultServiceAccount); err != nil {
		return err
	}
	fmt.Printf("READY kubeconfig=%s server=%s apiserver_pid=%d controller_manager_pid=%d\n",
		ca.Path("admin.kubeconfig"), server, apiserver.pid(), manager.pid())

	select {
	case <-ctx.Done():
		logProgress("stopping")
		return nil
	case c := <-exits:
		// When the API server exits, so does its client, and the two exits arrive in any
		// order.
		select {
		case <-apiserver.exited:
			return apiserver.exitError()
		case <-time.After(time.Second):
			return c.exitError()
		}
	case err := <-etcd.Err():
		return fmt.Errorf("etcd ended: %w", err)
	}
}

// lockDir locks the data directory. It fails if another control plane uses it.
func lockDir(dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another control plane: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

type client struct{ kubernetes.Interface }

func newClient(kubeconfig string) (client, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return client{}, err
	}
	return newClientFor(cfg)
}

func newClientFor(cfg *rest.Config) (client, error) {
	cfg.QPS = -1 // no limit: polling paces the calls
	cfg.WarningHandler = rest.NoWarnings{}
	c, err := kubernetes.NewForConfig(cfg)
	return client{c}, err
}

func (c client) isAPIReady(ctx context.Context) (bool, error) {
	body, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
	if err != nil {
		return false, fmt.Errorf("%w %s", err, body)
	}
	return true, nil
}

// hasDefaultServiceAccount reports whether the ServiceAccount exists that every pod of
// the namespace needs.
func (c client) hasDefaultServiceAccount(ctx context.Context) (bool, error) {
	_, err := c.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// waitFor polls until condition is true, a child exits or readyTimeout elapses.
func waitFor(ctx context.Context, exits <-chan *child, what string, condition func(context.Context) (bool, error)) error {
	deadline := time.After(readyTimeout)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		ok, err := condition(attempt)
		cancel()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-exits:
			return c.exitError()
		case <-deadline:
			return fmt.Errorf("timed out after %s waiting until %s (last error: %v)", readyTimeout, what, err)
		case <-time.After(pollInterval):
		}
	}
}
