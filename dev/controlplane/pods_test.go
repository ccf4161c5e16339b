package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ptr[T any](v T) *T { return &v }

// shellWithMessage returns a pod that writes the script's output to its termination message.
func shellWithMessage(name, script string) *corev1.Pod {
	return shell(name, "{ "+script+"\n} > $TERMINATION_MESSAGE_PATH")
}

func TestPodTermination(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		pod         *corev1.Pod
		alter       func(*corev1.Pod)
		phase       corev1.PodPhase
		reason      string // of the pod
		code        int32
		termination string // reason of the container
		message     string
		restarts    int32
	}{
		{pod: shell("exit-0", "exit 0"), phase: corev1.PodSucceeded, termination: "Completed"},
		{pod: shell("exit-3", "exit 3"), phase: corev1.PodFailed, code: 3, termination: "Error"},
		{pod: shell("signal-kill", "kill -KILL $$"), phase: corev1.PodFailed, code: 137, termination: "Error"},
		{pod: shell("signal-term", "kill -TERM $$"), phase: corev1.PodFailed, code: 143, termination: "Error"},
		{pod: shell("message", "echo done > $TERMINATION_MESSAGE_PATH; exit 1"),
			phase: corev1.PodFailed, code: 1, termination: "Error", message: "done\n"},
		{pod: shell("message-long", "printf "+long+" > $TERMINATION_MESSAGE_PATH"),
			phase: corev1.PodSucceeded, termination: "Completed", message: long[:4096]},
		{pod: shell("message-from-log", "echo one; echo two; exit 1"),
			alter: func(p *corev1.Pod) {
				p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			},
			phase: corev1.PodFailed, code: 1, termination: "Error", message: "one\ntwo\n"},
		{pod: shell("message-from-long-log", "seq -f %1000.0f 100; exit 1"),
			alter: func(p *corev1.Pod) {
				p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			},
			phase: corev1.PodFailed, code: 1, termination: "Error",
			message: fmt.Sprintf("%45d\n%1000d\n%1000d\n", 98, 99, 100)},
		{pod: shell("message-log-not-needed", "echo one"),
			alter: func(p *corev1.Pod) {
				p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			},
			phase: corev1.PodSucceeded, termination: "Completed"},
		{pod: shell("not-found", ""),
			alter: func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"no-such-program"} },
			phase: corev1.PodFailed, code: 128, termination: "StartError",
			message: `exec "no-such-program": executable file not found in $PATH`},
		{pod: shell("deadline", "exec sleep 600"),
			alter: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr[int64](1) },
			phase: corev1.PodFailed, reason: "DeadlineExceeded", code: 143, termination: "Error"},
		{pod: shell("deadline-ignored", "trap '' TERM; while :; do sleep 0.1; done"),
			alter: func(p *corev1.Pod) {
				p.Spec.ActiveDeadlineSeconds = ptr[int64](1)
				p.Spec.TerminationGracePeriodSeconds = ptr[int64](1)
			},
			phase: corev1.PodFailed, reason: "DeadlineExceeded", code: 137, termination: "Error"},
		{pod: shell("on-failure", "echo x >> $POD_VOLUMES/tries/n; test $(wc -l < $POD_VOLUMES/tries/n) = 2"),
			alter: func(p *corev1.Pod) {
				p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
				p.Spec.Volumes = []corev1.Volume{{Name: "tries", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			},
			phase: corev1.PodSucceeded, termination: "Completed", restarts: 1},
		{pod: shellWithMessage("init-containers", "cat $POD_VOLUMES/shared/order"),
			alter: func(p *corev1.Pod) {
				for _, n := range []string{"one", "two"} {
					p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: n, Image: "none",
						Command: []string{"sh", "-c", "sleep 0.2; echo " + n + " >> $POD_VOLUMES/shared/order"}})
				}
				p.Spec.Volumes = []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			},
			phase: corev1.PodSucceeded, termination: "Completed", message: "one\ntwo\n"},
		{pod: shellWithMessage("sidecar", "until test -e $POD_VOLUMES/shared/up; do sleep 0.05; done; echo seen"),
			alter: func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "side", Image: "none",
					RestartPolicy: ptr(corev1.ContainerRestartPolicyAlways),
					Command:       []string{"sh", "-c", "touch $POD_VOLUMES/shared/up; exec sleep 600"}}}
				p.Spec.Volumes = []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			},
			phase: corev1.PodSucceeded, termination: "Completed", message: "seen\n"},
		{pod: shellWithMessage("expansion", "true"),
			alter: func(p *corev1.Pod) {
				p.Spec.Containers[0].Command = []string{"sh", "-c", "echo \"$@\" > $TERMINATION_MESSAGE_PATH", "sh"}
				p.Spec.Containers[0].Args = []string{"$(A)", "$(B)", "$$(A)", "$(MISSING)"}
				p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)2"}}
			},
			phase: corev1.PodSucceeded, termination: "Completed", message: "1 12 $(A) $(MISSING)\n"},
		{pod: shellWithMessage("working-dir", "pwd"),
			alter: func(p *corev1.Pod) { p.Spec.Containers[0].WorkingDir = "/usr" },
			phase: corev1.PodSucceeded, termination: "Completed", message: "/usr\n"},
		{pod: shellWithMessage("own-empty-folder", "ls -A; basename $PWD"),
			phase: corev1.PodSucceeded, termination: "Completed", message: "main\n"},
		{pod: shellWithMessage("volumes", "cd $POD_VOLUMES; cat cm/renamed; cat secret/password; cat down/name; stat -c %a secret/password"),
			alter: func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{
					{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "settings"},
						Items:                []corev1.KeyToPath{{Key: "colour", Path: "renamed"}}}}},
					{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
						SecretName: "hidden", DefaultMode: ptr[int32](0o400)}}},
					{Name: "down", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{
						Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}}},
				}
			},
			phase: corev1.PodSucceeded, termination: "Completed", message: "bluepsstvolumes400\n"},
		{pod: shellWithMessage("credentials", "grep -c tokenFile $KUBECONFIG"),
			phase: corev1.PodSucceeded, termination: "Completed", message: "1\n"},
		{pod: shellWithMessage("no-credentials", "echo ${KUBECONFIG-none}"),
			alter: func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr(false) },
			phase: corev1.PodSucceeded, termination: "Completed", message: "none\n"},
	} {
		t.Run(c.pod.Name, func(t *testing.T) {
			t.Parallel()
			createSources(t)
			if c.alter != nil {
				c.alter(c.pod)
			}
			shared.create(t, c.pod)
			pod := shared.waitForPod(t, c.pod.Name, "terminal", isTerminal)
			if pod.Status.Phase != c.phase || pod.Status.Reason != c.reason {
				t.Errorf("phase %q reason %q, want %q %q", pod.Status.Phase, pod.Status.Reason, c.phase, c.reason)
			}
			if pod.Status.StartTime == nil {
				t.Error("no startTime")
			}
			s := pod.Status.ContainerStatuses[0]
			got := s.State.Terminated
			if got == nil {
				t.Fatalf("not terminated: %+v", s.State)
			}
			if got.ExitCode != c.code || got.Reason != c.termination || got.Message != c.message {
				t.Errorf("ended with %d %q %q, want %d %q %q", got.ExitCode, got.Reason, got.Message, c.code, c.termination, c.message)
			}
			if s.RestartCount != c.restarts {
				t.Errorf("restarted %d times, want %d", s.RestartCount, c.restarts)
			}
			if c.restarts > 0 && (s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 1) {
				t.Errorf("last state %+v, want exit code 1", s.LastTerminationState)
			}
		})
	}
}

// createSources creates the ConfigMap and the Secret that the pods of the tests refer to.
func createSources(t *testing.T) {
	t.Helper()
	_, err := shared.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings"},
		Data:       map[string]string{"colour": "blue", "SIZE": "9"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	_, err = shared.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hidden"},
		StringData: map[string]string{"password": "psst"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func TestPodEnvironment(t *testing.T) {
	t.Parallel()
	createSources(t)
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	settings := corev1.LocalObjectReference{Name: "settings"}
	absent := corev1.LocalObjectReference{Name: "absent"}
	cases := []struct {
		from *corev1.EnvVarSource
		want string
	}{
		{field("metadata.name"), "environment"},
		{field("metadata.namespace"), "default"},
		{field("metadata.uid"), "UID"},
		{field("metadata.annotations['note']"), "with spaces"},
		{field("metadata.labels['app']"), "tested"},
		{field("spec.nodeName"), "local"},
		{field("spec.serviceAccountName"), "default"},
		{field("status.podIP"), "127.0.0.1"},
		{field("status.hostIP"), "127.0.0.1"},
		{&corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: settings, Key: "colour"}}, "blue"},
		{&corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: absent, Key: "x", Optional: ptr(true)}}, "unset"},
		{&corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "hidden"}, Key: "password"}}, "psst"},
		{&corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}, "2"},
		{&corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}, "274877906944"},
	}
	pod := shellWithMessage("environment", "")
	pod.Annotations = map[string]string{"note": "with spaces"}
	pod.Labels = map[string]string{"app": "tested"}
	main := &pod.Spec.Containers[0]
	main.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
	main.EnvFrom = []corev1.EnvFromSource{{Prefix: "CM_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: settings}}}
	script := "echo $CM_SIZE; echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT; "
	want := []string{"9", strings.TrimPrefix(shared.server, "https://")}
	for i, c := range cases {
		name := fmt.Sprintf("V%d", i)
		main.Env = append(main.Env, corev1.EnvVar{Name: name, ValueFrom: c.from})
		script += "echo ${" + name + "-unset}; "
		want = append(want, c.want)
	}
	main.Command = shellWithMessage("", script).Spec.Containers[0].Command
	uid := string(shared.create(t, pod).UID)
	got := shared.waitForPod(t, pod.Name, "terminal", isTerminal).Status.ContainerStatuses[0].State.Terminated.Message
	expected := strings.ReplaceAll(strings.Join(want, "\n")+"\n", "UID", uid)
	if got != expected {
		t.Errorf("got:\n%swant:\n%s", got, expected)
	}
}

func TestPodWaiting(t *testing.T) {
	t.Parallel()
	waits := func(reason string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			s := p.Status.ContainerStatuses
			return len(s) > 0 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == reason
		}
	}
	t.Run("no command", func(t *testing.T) {
		t.Parallel()
		pod := shell("no-command", "")
		pod.Spec.Containers[0].Command = nil
		shared.create(t, pod)
		got := shared.waitForPod(t, pod.Name, "waiting", waits("ErrImagePull"))
		if m := got.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(m, "pulls no images") || got.Status.Phase != corev1.PodPending {
			t.Errorf("phase %s, message %q", got.Status.Phase, m)
		}
	})
	t.Run("missing ConfigMap", func(t *testing.T) {
		t.Parallel()
		pod := shell("config-later", "test $X = 1")
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "later"}, Key: "x"}}}}
		shared.create(t, pod)
		shared.waitForPod(t, pod.Name, "waiting", waits("CreateContainerConfigError"))
		if _, err := shared.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "later"}, Data: map[string]string{"x": "1"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		shared.waitForPod(t, pod.Name, "Succeeded", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	})
	t.Run("scheduling gate", func(t *testing.T) {
		t.Parallel()
		pod := shell("gated", "")
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
		shared.create(t, pod)
		// A later pod has finished, so the node has processed the gated one.
		shared.create(t, shell("after-gated", ""))
		shared.waitForPod(t, "after-gated", "terminal", isTerminal)
		gated := shared.waitForPod(t, pod.Name, "created", func(*corev1.Pod) bool { return true })
		if gated.Spec.NodeName != "" {
			t.Fatal("bound although it has a scheduling gate")
		}
		gated.Spec.SchedulingGates = nil
		if _, err := shared.CoreV1().Pods("default").Update(t.Context(), gated, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		shared.waitForPod(t, pod.Name, "terminal", isTerminal)
	})
	t.Run("back-off", func(t *testing.T) {
		t.Parallel()
		pod := shell("crashing", "exit 4")
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
		shared.create(t, pod)
		got := shared.waitForPod(t, pod.Name, "in back-off", waits("CrashLoopBackOff"))
		s := got.Status.ContainerStatuses[0]
		if s.RestartCount != 1 || s.LastTerminationState.Terminated.ExitCode != 4 || isTerminal(got) {
			t.Errorf("after the immediate first restart: %s %+v", got.Status.Phase, s)
		}
		ended := s.LastTerminationState.Terminated.FinishedAt
		got = shared.waitForPod(t, pod.Name, "restarted again", func(p *corev1.Pod) bool { return p.Status.ContainerStatuses[0].RestartCount == 2 })
		var thirdStart metav1.Time // of the third attempt, which may have ended
		switch s := got.Status.ContainerStatuses[0]; {
		case s.State.Running != nil:
			thirdStart = s.State.Running.StartedAt
		case s.State.Terminated != nil:
			thirdStart = s.State.Terminated.StartedAt
		default:
			thirdStart = s.LastTerminationState.Terminated.StartedAt
		}
		if d := thirdStart.Sub(ended.Time); d < 9*time.Second || d > 20*time.Second {
			t.Errorf("second restart after %s, want 10 s", d)
		}
	})
}

func TestPodDeletion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		onTerm  string // the handler of SIGTERM
		grace   int64
		output  string // written by the handler
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"term-handled", "trap 'echo bye > $OUT/output; exit 0' TERM", 30, "bye\n", 0, 10 * time.Second},
		{"term-ignored", "trap '' TERM", 2, "", 1900 * time.Millisecond, 12 * time.Second},
		{"term-default", "true", 30, "", 0, 10 * time.Second},
		{"forced", "trap '' TERM", 0, "", 0, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			// A background grandchild, which gets no SIGTERM, must end too.
			pod := shell(c.name, c.onTerm+"; sleep 600 & echo $! >> $OUT/pids; echo $$ >> $OUT/pids; while :; do sleep 0.05; done")
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OUT", Value: out}}
			pod = shared.create(t, pod)
			shared.waitForPod(t, pod.Name, "Running", isRunning)
			pids := pidsIn(t, filepath.Join(out, "pids"), 2)
			folder := filepath.Join(shared.dir, "pods", string(pod.UID))
			if _, err := os.Stat(folder); err != nil {
				t.Fatal(err)
			}

			begin := time.Now()
			if err := shared.CoreV1().Pods("default").Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &c.grace}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "deletion of the object", func(ctx context.Context) (bool, error) {
				_, err := shared.CoreV1().Pods("default").Get(ctx, pod.Name, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return true, nil
				}
				return false, err
			})
			if took := time.Since(begin); took < c.atLeast || took > c.atMost {
				t.Errorf("took %s, want between %s and %s", took, c.atLeast, c.atMost)
			}
			eventually(t, "the exit of the processes and the removal of the folder", func(context.Context) (bool, error) {
				_, err := os.Stat(folder)
				return os.IsNotExist(err) && !isAlive(pids[0]) && !isAlive(pids[1]), nil
			})
			output, _ := os.ReadFile(filepath.Join(out, "output"))
			if string(output) != c.output {
				t.Errorf("output %q, want %q", output, c.output)
			}
		})
	}
}
