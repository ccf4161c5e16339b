// Package spawn starts child processes that do not outlive this process, however it
// ends: even after kill -9 nothing that was started here keeps running.
//
// Two means, because neither is enough alone. PR_SET_PDEATHSIG makes the kernel kill
// each direct child; it is bound to the *thread* that forked, so all forks happen on
// one thread that lives as long as the process. It does not reach grandchildren, so a
// guard process (guard.go) knows every process group and kills them when we are gone.
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

// thread starts the one goroutine that forks. It never gives its thread back.
var thread = sync.OnceValue(func() chan<- request {
	requests := make(chan request)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

// Start starts cmd as the leader of a process group of its own, killed when this
// process dies. The group keeps a Ctrl-C in the terminal from reaching it.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return start(cmd)
}

func start(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	thread() <- request{cmd, done}
	return <-done
}
