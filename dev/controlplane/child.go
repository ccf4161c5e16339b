package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"eventcenter.io/dev/controlplane/internal/spawn"
)

// child is a re-execution of this binary as one of the Kubernetes servers.
type child struct {
	name   string
	log    string
	cmd    *exec.Cmd
	exited chan struct{} // closed after the process has exited; cmd.ProcessState is then set
}

// startChild starts the server called name, which logs to DIR/NAME.log. When the process
// exits, startChild sends the child to exits.
func startChild(dir, name string, flags []string, exits chan<- *child) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{
		name:   name,
		log:    filepath.Join(dir, name+".log"),
		cmd:    exec.Command(self, append([]string{name}, flags...)...),
		exited: make(chan struct{}),
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := spawn.Start(c.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState has the result
		close(c.exited)
		exits <- c
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop sends SIGTERM to the server, and SIGKILL if it has not exited after timeout.
func (c *child) stop(timeout time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(timeout):
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
}

// exitError returns the error for a server that exited unexpectedly.
func (c *child) exitError() error {
	return fmt.Errorf("%s ended (%v); the end of %s:\n%s", c.name, c.cmd.ProcessState, c.log, lastLines(c.log, 20))
}

func lastLines(path string, n int) []byte {
	f, err := os.Open(path)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	const window = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > window {
		_, _ = f.Seek(-window, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	lines := bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
