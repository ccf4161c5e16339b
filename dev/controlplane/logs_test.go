package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podLogs(ctx context.Context, pod string, o *corev1.PodLogOptions) (string, error) {
	stream, err := shared.CoreV1().Pods("default").GetLogs(pod, o).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	b, err := io.ReadAll(stream)
	return string(b), err
}

func TestLogs(t *testing.T) {
	t.Parallel()
	pod := shell("logs", "for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; printf end")
	pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "none", Command: []string{"echo", "initialised"}}}
	shared.create(t, pod)
	shared.waitForPod(t, pod.Name, "terminal", isTerminal)

	// Two goroutines read the two streams, so the line on stderr can be anywhere.
	stdout := func(s string) string { return strings.Replace(s, "problem\n", "", 1) }
	whole, err := podLogs(t.Context(), pod.Name, &corev1.PodLogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if stdout(whole) != "line 1\nline 2\nline 3\nline 4\nline 5\nend" || stdout(whole) == whole {
		t.Errorf("whole log: %q", whole)
	}
	future := metav1.NewTime(time.Now().Add(time.Hour))
	for _, c := range []struct {
		name    string
		options corev1.PodLogOptions
		valid   func(string) bool
	}{
		{"tail", corev1.PodLogOptions{TailLines: ptr[int64](2)}, func(s string) bool {
			return strings.HasSuffix(whole, s) && strings.Count(s, "\n") <= 2 && strings.Count(s, "\n") >= 1
		}},
		{"tail 0", corev1.PodLogOptions{TailLines: ptr[int64](0)}, func(s string) bool { return s == "" }},
		{"tail more than there is", corev1.PodLogOptions{TailLines: ptr[int64](99)}, func(s string) bool { return s == whole }},
		{"limit", corev1.PodLogOptions{LimitBytes: ptr[int64](9)}, func(s string) bool { return s == whole[:9] }},
		{"since", corev1.PodLogOptions{SinceSeconds: ptr[int64](3600)}, func(s string) bool { return s == whole }},
		{"since later", corev1.PodLogOptions{SinceTime: &future}, func(s string) bool { return s == "" }},
		{"timestamps", corev1.PodLogOptions{Timestamps: true, TailLines: ptr[int64](1)}, func(s string) bool {
			stamp, _, ok := strings.Cut(s, " ")
			_, err := time.Parse(time.RFC3339Nano, stamp)
			return ok && err == nil
		}},
		{"init container", corev1.PodLogOptions{Container: "first"}, func(s string) bool { return s == "initialised\n" }},
		{"follow a finished log", corev1.PodLogOptions{Follow: true}, func(s string) bool { return s == whole }},
	} {
		got, err := podLogs(t.Context(), pod.Name, &c.options)
		if err != nil || !c.valid(got) {
			t.Errorf("%s: %q %v", c.name, got, err)
		}
	}
}

func TestLogsOfPreviousAttempt(t *testing.T) {
	t.Parallel()
	pod := shell("logs-previous", "echo try >> $POD_VOLUMES/n/n; wc -l < $POD_VOLUMES/n/n; test $(wc -l < $POD_VOLUMES/n/n) = 2 && exec sleep 600; exit 1")
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	pod.Spec.Volumes = []corev1.Volume{{Name: "n", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	shared.create(t, pod)
	shared.waitForPod(t, pod.Name, "in its second attempt", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount == 1 && s[0].State.Running != nil
	})
	for previous, want := range map[bool]string{true: "1\n", false: "2\n"} {
		eventually(t, "the log "+want, func(ctx context.Context) (bool, error) {
			got, err := podLogs(ctx, pod.Name, &corev1.PodLogOptions{Previous: previous})
			return got == want, err
		})
	}
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	signal := filepath.Join(t.TempDir(), "continue")
	pod := shell("logs-follow", "echo before; until test -e "+signal+"; do sleep 0.05; done; echo after; exit 2")
	shared.create(t, pod)
	shared.waitForPod(t, pod.Name, "Running", isRunning)
	stream, err := shared.CoreV1().Pods("default").GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	r := bufio.NewReader(stream)
	if line, err := r.ReadString('\n'); line != "before\n" {
		t.Fatalf("%q %v", line, err)
	}
	// The process continues only now, so the first line arrived while it was running.
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r) // ends with the container
	if string(rest) != "after\n" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

func TestLogsUnavailable(t *testing.T) {
	t.Parallel()
	pod := shell("logs-refused", "")
	pod.Spec.Containers[0].Command = nil
	shared.create(t, pod)
	shared.waitForPod(t, pod.Name, "reported by the node", func(p *corev1.Pod) bool { return len(p.Status.ContainerStatuses) > 0 })
	if _, err := podLogs(t.Context(), pod.Name, &corev1.PodLogOptions{}); err == nil || !strings.Contains(err.Error(), "waiting to start") {
		t.Errorf("log of a container that never started: %v", err)
	}

	node, err := shared.CoreV1().Nodes().Get(t.Context(), "local", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("https://127.0.0.1:%d/containerLogs/default/%s/main", node.Status.DaemonEndpoints.KubeletEndpoint.Port, pod.Name)
	ca, err := os.ReadFile(filepath.Join(shared.dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca)
	get := func() (*http.Response, error) {
		return (&http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone()}}).Get(url)
	}
	if _, err := get(); err == nil {
		t.Error("served without a client certificate")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(shared.dir, "admin.crt"), filepath.Join(shared.dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{cert}
	response, err := get()
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("admin's certificate: %s", response.Status)
	}
}
