// Package spawn starts child processes that do not outlive this process, even after
// kill -9.
//
// It uses two mechanisms. PR_SET_PDEATHSIG makes the kernel kill each direct child; it is
// bound to the *thread* that forked, so all forks happen on one thread that lives as long
// as the process. It does not affect grandchildren, so a guard process (guard.go) has a
// list of all process groups and kills them after this process exits.
package spawn

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

type request struct {
	cmd  *exec.Cmd
	done chan error
}

// forkRequests starts the only goroutine that forks. It never unlocks its thread.
var forkRequests = sync.OnceValue(func() chan<- request {
	requests := make(chan request)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

// Start starts cmd as the leader of its own process group and kills it when this process
// exits. Because of the group, a Ctrl-C in the terminal does not reach it.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return start(cmd)
}

func start(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	forkRequests() <- request{cmd, done}
	return <-done
}
