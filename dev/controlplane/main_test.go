package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"eventcenter.io/dev/controlplane/internal/spawn"
)

// asProgram makes the test binary run as the program itself, so that no second binary has
// to be linked; the re-executed servers inherit it.
const asProgram = "CONTROLPLANE_TEST_AS_PROGRAM"

const timeout = 45 * time.Second

// shared is the cluster that most tests use, each with its own objects.
var shared *cluster

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "controlplane")
	if err == nil {
		defer os.RemoveAll(dir)
		shared, err = startCluster(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the shared control plane:", err)
		return 1
	}
	return code
}

// program returns a command that runs the program.
func program(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// cluster is a running `controlplane up`.
type cluster struct {
	client
	dir        string
	kubeconfig string
	server     string
	apiserver  int
	manager    int
	cmd        *exec.Cmd
	stderr     *syncBuffer
	exited     chan error
}

var readyLine = regexp.MustCompile(`^READY kubeconfig=(\S+) server=(\S+) apiserver_pid=(\d+) controller_manager_pid=(\d+)$`)

func startCluster(dir string, flags ...string) (*cluster, error) {
	c := &cluster{dir: dir, stderr: &syncBuffer{}, exited: make(chan error, 1)}
	c.cmd = program(append([]string{"up", "--data-dir", dir}, flags...)...)
	c.cmd.Stderr = c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := spawn.Start(c.cmd); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		m := readyLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		c.kubeconfig, c.server = m[1], m[2]
		c.apiserver, _ = strconv.Atoi(m[3])
		c.manager, _ = strconv.Atoi(m[4])
		go func() {
			_, _ = io.Copy(io.Discard, stdout)
			c.exited <- c.cmd.Wait()
		}()
		c.client, err = newClient(c.kubeconfig)
		return c, err
	}
	err = c.cmd.Wait()
	return nil, fmt.Errorf("no READY line (%w): %s", err, c.stderr)
}

// stop sends SIGTERM and returns an error if the program fails or takes too long to exit.
func (c *cluster) stop() error {
	begin := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-c.exited:
		if err != nil {
			return fmt.Errorf("%w: %s", err, c.stderr)
		}
		if took := time.Since(begin); took > 15*time.Second {
			return fmt.Errorf("took %s", took)
		}
		return nil
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		return errors.New("did not stop after SIGTERM")
	}
}

// syncBuffer is a buffer that one goroutine writes and another reads.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually polls until condition is true.
func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), pollInterval, timeout, true, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// shell returns a pod that runs script once.
func shell(name, script string) *corev1.Pod {
	script = strings.ReplaceAll(script, "$", "$$") // for the shell, not for Kubernetes' $(VAR)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "none", Command: []string{"sh", "-c", script}}},
		},
	}
}

func (c *cluster) create(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	pod, err := c.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// waitForPod polls until condition is true for the pod; a failure prints its status.
func (c *cluster) waitForPod(t *testing.T, name, what string, condition func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		var err error
		pod, err = c.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		return err == nil && condition(pod), err
	})
	if err != nil {
		t.Fatalf("waiting for pod %s to be %s: %v; status: %+v", name, what, err, pod.Status)
	}
	return pod
}

func isRunning(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }

func isTerminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// isAlive reports whether a process runs (a zombie does not).
func isAlive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// pidsIn reads n process ids from a file, one per line.
func pidsIn(t *testing.T, path string, n int) []int {
	t.Helper()
	var pids []int
	eventually(t, fmt.Sprintf("%d process ids in %s", n, path), func(context.Context) (bool, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return false, nil
		}
		pids = nil
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return false, err
			}
			pids = append(pids, pid)
		}
		return len(pids) == n, nil
	})
	return pids
}
