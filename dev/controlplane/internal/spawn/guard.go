package spawn

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// The guard is a shell because it must outlive this process and stay small: a second
// instance of this binary would cost tens of megabytes. It reads from stdin which process
// groups start and end. At end of file this process is gone, and the guard kills the
// remaining groups, then processes that left their group, by a mark in their environment.
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

// Guard kills its process groups when this process exits.
type Guard struct {
	mu    sync.Mutex
	stdin io.WriteCloser
	cmd   *exec.Cmd
}

// NewGuard starts the guard process. Mark is a NAME=VALUE, or a prefix of one, that only
// guarded processes have in their environment.
func NewGuard(mark string) (*Guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "controlplane-guard", mark)
	cmd.Dir = "/"
	// No Pdeathsig: the guard must outlive this process.
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

// Add registers a process group.
func (g *Guard) Add(group int) error { return g.send("add", group) }

// Remove unregisters a process group without live processes.
func (g *Guard) Remove(group int) error { return g.send("del", group) }

func (g *Guard) send(word string, group int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := fmt.Fprintln(g.stdin, word, group); err != nil {
		return fmt.Errorf("the process guard has exited: %w", err)
	}
	return nil
}

// Close ends the guard, which first kills every registered group.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.stdin.Close(); err != nil {
		return err
	}
	return g.cmd.Wait()
}
