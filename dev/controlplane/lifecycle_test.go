package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"eventcenter.io/dev/controlplane/internal/pki"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, 0, "Usage:"},
		{[]string{"up", "--help"}, 0, "--data-dir"},
		{nil, 2, "Usage:"},
		{[]string{"down"}, 2, `unknown command or flag "down"`},
		{[]string{"up"}, 2, "--data-dir is required"},
		{[]string{"up", "--data-dir", "x", "--colour"}, 2, "-colour"},
		{[]string{"up", "--data-dir", "x", "y"}, 2, `unexpected argument "y"`},
		{[]string{"up", "--data-dir", "x", "--port", "70000"}, 2, "--port 70000"},
		{[]string{"up", "--data-dir", "x", "--node-name", "No_Name"}, 2, "not a valid node name"},
		{[]string{"up", "--data-dir", shared.dir}, 1, "in use by another control plane"},
	} {
		cmd := program(c.args...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: exit %d, want %d and %q in:\n%s", c.args, code, c.code, c.want, out)
		}
	}
}

// One data directory is killed, started, stopped and started again, and loses its API
// server.
func TestRestarts(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	start := func(flags ...string) *cluster {
		t.Helper()
		c, err := startCluster(dir, flags...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.cmd.Process.Kill() })
		return c
	}
	first := start()
	port := first.server[strings.LastIndex(first.server, ":")+1:]
	kubeconfig, err := os.ReadFile(first.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "persistent"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Grandchildren, one of them in its own session, that only SIGKILL ends.
	family := func(file string) string {
		return "trap '' TERM; echo $$ >> $OUT/" + file + "; (sleep 600 & echo $! >> $OUT/" + file + "; wait) & " +
			"setsid sh -c 'trap \"\" TERM; echo $$ >> $OUT/" + file + "; while :; do sleep 0.2; done' & while :; do sleep 0.1; done"
	}
	for name, policy := range map[string]corev1.RestartPolicy{"never": corev1.RestartPolicyNever, "always": corev1.RestartPolicyAlways} {
		pod := shell(name, family(name))
		pod.Spec.RestartPolicy = policy
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OUT", Value: out}}
		first.create(t, pod)
	}
	var pids []int
	for _, name := range []string{"never", "always"} {
		first.waitForPod(t, name, "Running", isRunning)
		pids = append(pids, pidsIn(t, filepath.Join(out, name), 3)...)
	}
	waitForExit := func(what string, pids ...int) {
		t.Helper()
		eventually(t, what, func(context.Context) (bool, error) {
			for _, pid := range pids {
				if isAlive(pid) {
					return false, nil
				}
			}
			return true, nil
		})
	}

	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.exited
	waitForExit("the exit of every process after kill -9", append(pids, first.apiserver, first.manager)...)
	if err := os.Remove(filepath.Join(out, "always")); err != nil {
		t.Fatal(err)
	}

	second := start("--port", port)
	if second.server != first.server {
		t.Errorf("server %s, want %s", second.server, first.server)
	}
	// The old kubeconfig stays valid: same authority, same URL.
	old, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	oldClient, err := newClientFor(old)
	if err != nil {
		t.Fatal(err)
	}
	if cm, err := oldClient.CoreV1().ConfigMaps("default").Get(t.Context(), "persistent", metav1.GetOptions{}); err != nil || cm.Data["a"] != "b" {
		t.Errorf("%v %v", cm, err)
	}
	never := second.waitForPod(t, "never", "terminal", isTerminal)
	if s := never.Status; s.Phase != corev1.PodFailed || s.Reason != "NodeRestarted" || s.ContainerStatuses[0].State.Terminated.ExitCode != 137 {
		t.Errorf("never: %+v", s)
	}
	always := second.waitForPod(t, "always", "running again", func(p *corev1.Pod) bool {
		return isRunning(p) && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.ContainerStatuses[0].State.Running != nil
	})
	if last := always.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.Reason != "NodeRestarted" {
		t.Errorf("always: %+v", always.Status)
	}
	pids = append(pidsIn(t, filepath.Join(out, "always"), 3), second.apiserver, second.manager)
	if err := second.stop(); err != nil { // although the pod ignores SIGTERM
		t.Fatal(err)
	}
	waitForExit("the exit of every process after SIGTERM", pids...)

	third := start()
	if err := syscall.Kill(third.apiserver, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-third.exited:
		if code := third.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(third.stderr.String(), "kube-apiserver ended (signal: killed)") {
			t.Errorf("%v, exit %d: %s", err, code, third.stderr)
		}
	case <-time.After(20 * time.Second):
		t.Error("still runs without its API server")
	}
	waitForExit("the exit of the controller manager with the API server", third.manager)
}

// Certificates issued from the data directory's authority authenticate users for RBAC,
// impersonation and the audit log.
func TestUsers(t *testing.T) {
	t.Parallel()
	ca, err := pki.Open(shared.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Client("jane", "jane", "testers"); err != nil {
		t.Fatal(err)
	}
	if err := ca.Kubeconfig("jane", shared.server); err != nil {
		t.Fatal(err)
	}
	jane, err := newClient(ca.Path("jane.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jane.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("jane lists Secrets: %v", err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", shared.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Impersonate.UserName = "jane"
	asJane, err := newClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "janes"}}
	if _, err := asJane.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("admin as jane creates a ConfigMap: %v", err)
	}
	eventually(t, "the refusal in the audit log", func(context.Context) (bool, error) {
		b, err := os.ReadFile(filepath.Join(shared.dir, "audit.log"))
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, `"impersonatedUser":{"username":"jane"`) && strings.Contains(line, `"code":403`) {
				return true, nil
			}
		}
		return false, err
	})
	b, err := os.ReadFile(filepath.Join(shared.dir, "audit.log"))
	if err != nil || strings.Contains(string(b), "system:node:local") {
		t.Errorf("the audit log contains the node's writes (%v)", err)
	}
}
