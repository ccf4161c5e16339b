package spawn

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// The guard is a shell because it must outlive us and stay small: a second copy of
// this binary would cost tens of megabytes. It keeps the list of live groups that it
// is told on stdin; end of file means that we are gone, and it kills what is left:
// the groups, then those that left their group, by a mark in their environment.
const guardScript = `trap '' TERM INT HUP
live=' '
while read -r word group; do
  case $word in
    add) live="$live$group " ;;
    del) case $live in *" $group "*) live="${live%%" $group "*} ${live#*" $group "}" ;; esac ;;
  esac
done
for group in $live; do kill -9 "-$group" 2>/dev/null; done
grep -lszF "$1" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do kill -9 "$pid" 2>/dev/null; done
exit 0`

// Guard kills the process groups it knows of when this process is gone.
type Guard struct {
	mu    sync.Mutex
	stdin io.WriteCloser
	cmd   *exec.Cmd
}

// NewGuard starts the guard process. Mark is a NAME=VALUE, or its beginning, that
// only processes under guard have in their environment.
func NewGuard(mark string) (*Guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "controlplane-guard", mark)
	cmd.Dir = "/"
	// No Pdeathsig: outliving us is its purpose.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the process guard: %w", err)
	}
	return &Guard{stdin: stdin, cmd: cmd}, nil
}

// Add puts a process group under guard.
func (g *Guard) Add(group int) error { return g.tell("add", group) }

// Remove is called once no process of the group is left.
func (g *Guard) Remove(group int) error { return g.tell("del", group) }

func (g *Guard) tell(word string, group int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := fmt.Fprintln(g.stdin, word, group); err != nil {
		return fmt.Errorf("the process guard is gone: %w", err)
	}
	return nil
}

// Close ends the guard, which first kills every group still known to it.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.stdin.Close(); err != nil {
		return err
	}
	return g.cmd.Wait()
}
