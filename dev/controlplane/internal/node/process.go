package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"eventcenter.io/dev/controlplane/internal/spawn"
)

const (
	// The time limit for the remaining output after a process has ended and its group was
	// killed. Only a process that left the group can keep the pipe open longer.
	outputTimeout = 2 * time.Second

	maxMessageBytes    = 4096 // of a termination message, like the kubelet
	maxMessageLogBytes = 2048 // of log that may replace it
	maxMessageLines    = 80
)

// process is one running attempt of a container.
type process struct {
	node        *Node
	cmd         *exec.Cmd
	log         *logFile
	messageFile string
	fallback    bool // the end of the log may replace the termination message
}

// startProcess starts the container's command in a new working folder.
func (n *Node) startProcess(pod *corev1.Pod, spec *corev1.Container, attempt int, env environment) (*process, error) {
	p := &process{
		node:        n,
		messageFile: n.messageFile(pod, spec),
		fallback:    spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError,
	}
	dir := filepath.Join(n.podDir(pod.UID), spec.Name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if spec.WorkingDir != "" {
		if info, err := os.Stat(spec.WorkingDir); err == nil && info.IsDir() {
			dir = spec.WorkingDir
		}
	}
	if err := os.MkdirAll(filepath.Dir(p.messageFile), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.messageFile, nil, 0o600); err != nil { // truncates that of the previous attempt
		return nil, err
	}
	var argv []string
	for _, a := range append(append([]string{}, spec.Command...), spec.Args...) {
		argv = append(argv, expansion.Expand(a, expansion.MappingFuncFor(env.values)))
	}
	path, err := findExecutable(argv[0], dir, env.values["PATH"])
	if err != nil {
		return nil, err
	}
	if p.log, err = n.logs.create(n.logPath(pod.UID, spec.Name, attempt)); err != nil {
		return nil, err
	}
	p.cmd = &exec.Cmd{Path: path, Args: argv, Dir: dir, Env: env.list()}
	if err := p.start(); err != nil {
		p.log.finish(0)
		return nil, err
	}
	return p, nil
}

func (p *process) start() error {
	stdout, err := p.log.pipe("stdout")
	if err != nil {
		return err
	}
	defer stdout.Close() // the child has its own descriptor
	stderr, err := p.log.pipe("stderr")
	if err != nil {
		return err
	}
	defer stderr.Close()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	if err := spawn.Start(p.cmd); err != nil {
		return fmt.Errorf("start %s: %w", strings.Join(p.cmd.Args, " "), err)
	}
	if err := p.node.guard.Add(p.cmd.Process.Pid); err != nil {
		p.node.log.Print(err)
	}
	return nil
}

// terminate sends SIGTERM to the container's own process only, as a container runtime
// does; that process has to end its children.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *process) kill() { _ = p.cmd.Process.Kill() }

// wait blocks until the process and its group have exited and its output is written.
func (p *process) wait() exit {
	_ = p.cmd.Wait() // ProcessState has the result
	e := exit{at: time.Now(), code: exitCode(p.cmd.ProcessState)}
	group := p.cmd.Process.Pid
	_ = syscall.Kill(-group, syscall.SIGKILL)
	if err := p.node.guard.Remove(group); err != nil {
		p.node.log.Print(err)
	}
	p.log.finish(outputTimeout)
	e.message = p.message(e.code)
	return e
}

// exitCode returns 128 + the signal number if a signal ended the process, like a shell.
func exitCode(s *os.ProcessState) int32 {
	if s == nil {
		return codeKilled
	}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return int32(128 + ws.Signal())
	}
	return int32(s.ExitCode())
}

// message returns the termination message.
func (p *process) message(code int32) string {
	b, err := os.ReadFile(p.messageFile)
	if err != nil {
		return ""
	}
	if len(b) > 0 {
		return strings.ToValidUTF8(string(b[:min(len(b), maxMessageBytes)]), "")
	}
	if code == 0 || !p.fallback {
		return ""
	}
	tail, err := tailOfLog(p.log.path, maxMessageLines, maxMessageLogBytes)
	if err != nil {
		p.node.log.Printf("read %s for the termination message: %v", p.log.path, err)
	}
	return strings.ToValidUTF8(tail, "")
}

func (n *Node) messageFile(pod *corev1.Pod, spec *corev1.Container) string {
	return filepath.Join(n.podDir(pod.UID), messagesFolder, spec.Name)
}

func (n *Node) logPath(uid types.UID, container string, attempt int) string {
	return filepath.Join(n.cfg.Dir, string(uid), logsFolder, container, strconv.Itoa(attempt)+".log")
}

// findExecutable resolves a command like the container's process would: relative to its
// folder, or in its own PATH.
func findExecutable(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil // starting it reports an error
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue
		}
		candidate := filepath.Join(d, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("exec %q: %w", name, exec.ErrNotFound)
}
