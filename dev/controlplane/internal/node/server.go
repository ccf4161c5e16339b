package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// serveLogs starts the endpoint from which the API server reads logs, and returns its
// port. It accepts only the API server's client certificate.
func (n *Node) serveLogs(nodeCtx context.Context) (int, error) {
	cert, err := tls.LoadX509KeyPair(n.cfg.CertFile, n.cfg.KeyFile)
	if err != nil {
		return 0, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(n.cfg.CA) {
		return 0, errors.New("the cluster's authority contains no certificate")
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return 0, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.handleLogs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "this node serves only logs: exec, attach, port-forward and metrics are not supported", http.StatusNotImplemented)
	})
	server := &http.Server{
		Handler:           n.requireLogsClient(mux),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return nodeCtx },
		ErrorLog:          log.New(n.log.Writer(), "log endpoint: ", log.LstdFlags),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    pool,
			MinVersion:   tls.VersionTLS12,
		},
	}
	n.running.Go(func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			n.log.Printf("log endpoint: %v", err)
		}
	})
	n.running.Go(func() { <-nodeCtx.Done(); _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func (n *Node) requireLogsClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The handshake requires a client certificate.
		if name := r.TLS.PeerCertificates[0].Subject.CommonName; name != n.cfg.LogsClient {
			http.Error(w, fmt.Sprintf("user %q may not use this endpoint: read logs through the API server", name), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (n *Node) handleLogs(w http.ResponseWriter, r *http.Request) {
	pod, err := n.pods.Pods(r.PathValue("namespace")).Get(r.PathValue("pod"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	options, err := parseLogOptions(query, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	path, err := n.findLog(pod, r.PathValue("container"), query.Get("previous") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if err := readLog(r.Context(), flusher{w}, path, n.logs.complete(path), options); err != nil && r.Context().Err() == nil {
		n.log.Printf("serve %s: %v", path, err)
	}
}

// flusher flushes after each write, because a follower waits for it.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	size, err := f.ResponseWriter.Write(b)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	return size, err
}

var _ io.Writer = flusher{}

// findLog returns the path of the log of the container's last attempt, or of the previous
// one. It reads the folder because there is no worker for a pod that has ended.
func (n *Node) findLog(pod *corev1.Pod, container string, previous bool) (string, error) {
	if !hasContainer(pod, container) {
		return "", fmt.Errorf("container %q is not in pod %q", container, pod.Name)
	}
	dir := filepath.Dir(n.logPath(pod.UID, container, 0))
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	last := -1
	for _, e := range entries {
		if attempt, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".log")); err == nil {
			last = max(last, attempt)
		}
	}
	switch {
	case last < 0:
		return "", fmt.Errorf("container %q in pod %q is waiting to start", container, pod.Name)
	case !previous || isWaiting(pod, container):
		// While the container waits for another attempt, the last one is also the previous one.
		return n.logPath(pod.UID, container, last), nil
	}
	path := n.logPath(pod.UID, container, last-1)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("previous terminated container %q in pod %q not found", container, pod.Name)
	}
	return path, nil
}

func isWaiting(pod *corev1.Pod, container string) bool {
	all := append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...)
	status, _ := podutil.GetContainerStatus(all, container)
	return status.State.Waiting != nil
}

func hasContainer(pod *corev1.Pod, name string) bool {
	hasName := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(pod.Spec.Containers, hasName) || slices.ContainsFunc(pod.Spec.InitContainers, hasName)
}

func parseLogOptions(q url.Values, now time.Time) (logOptions, error) {
	o := wholeLog
	o.follow = q.Get("follow") == "true"
	o.timestamps = q.Get("timestamps") == "true"
	var err error
	number := func(name string, into *int64) {
		if s := q.Get(name); s != "" && err == nil {
			*into, err = strconv.ParseInt(s, 10, 64)
		}
	}
	var sinceSeconds int64
	number("tailLines", &o.tail)
	number("limitBytes", &o.limit)
	number("sinceSeconds", &sinceSeconds)
	if err != nil {
		return o, err
	}
	if sinceSeconds > 0 {
		o.since = now.Add(-time.Duration(sinceSeconds) * time.Second)
	}
	if s := q.Get("sinceTime"); s != "" {
		o.since, err = time.Parse(time.RFC3339, s)
	}
	return o, err
}
