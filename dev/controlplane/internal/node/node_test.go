package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// The delays before each restart of a container that ends immediately.
	for i, want := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
		at := b.nextStart(now)
		if got := at.Sub(now); got != want*time.Second {
			t.Errorf("restart %d waits %s, want %d s", i+1, got, want)
		}
		b.recordRestart(at)
		now = at
	}
	now = now.Add(resetAfter + time.Second) // duration of the last attempt
	if got := b.nextStart(now); got != now {
		t.Errorf("after a long run: delay of %s, want none", got.Sub(now))
	}
}

// writeLog writes a log file with the given stdout.
func writeLog(t *testing.T, text string) string {
	t.Helper()
	l, err := newOpenLogs().create(filepath.Join(t.TempDir(), "0.log"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.pipe("stdout")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	l.finish(time.Minute)
	return l.path
}

func read(t *testing.T, path string, o logOptions) string {
	t.Helper()
	closed := make(chan struct{})
	close(closed)
	var b strings.Builder
	if err := readLog(context.Background(), &b, path, closed, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLogPreservesEveryByte(t *testing.T) {
	for _, text := range []string{
		"",
		"\n",
		"a\n\nb\n",
		"no line feed at the end",
		strings.Repeat("x", maxPartBytes-1) + "\n",
		strings.Repeat("x", maxPartBytes) + "\n",
		strings.Repeat("x", 3*maxPartBytes+5) + "\nnext\n",
		"spaces  and \t tabs \r\n",
	} {
		path := writeLog(t, text)
		if got := read(t, path, wholeLog); got != text {
			t.Errorf("wrote %.40q…, read %.40q…", text, got)
		}
		following := wholeLog
		following.follow = true
		if got := read(t, path, following); got != text {
			t.Errorf("wrote %.40q…, followed %.40q…", text, got)
		}
	}
}

func TestLogTail(t *testing.T) {
	var all strings.Builder
	for i := range 5000 { // more than one window of tailOffset
		fmt.Fprintf(&all, "line %d\n", i)
	}
	path := writeLog(t, all.String())
	lines := strings.SplitAfter(all.String(), "\n")
	lines = lines[:len(lines)-1]
	for _, n := range []int{0, 1, 2, 1000, 4999, 5000, 5001} {
		o := wholeLog
		o.tail = int64(n)
		want := strings.Join(lines[max(0, len(lines)-n):], "")
		if got := read(t, path, o); got != want {
			t.Errorf("tail %d: %d bytes, want %d", n, len(got), len(want))
		}
	}
	got, err := tailOfLog(path, 2, 12)
	if err != nil || got != "8\nline 4999\n" {
		t.Errorf("%q %v", got, err)
	}
}

// A pipe that another process keeps open must not block the end of an attempt.
func TestLogFinishTimeout(t *testing.T) {
	l, err := newOpenLogs().create(filepath.Join(t.TempDir(), "0.log"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.pipe("stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	fmt.Fprintln(w, "text")
	begin := time.Now()
	l.finish(100 * time.Millisecond)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if got := read(t, l.path, wholeLog); got != "text\n" {
		t.Errorf("%q", got)
	}
}

func TestFindExecutable(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	if err := os.WriteFile(tool, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, path, want string }{
		{"tool", "/nowhere:" + dir, tool},
		{"tool", "", ""},
		{"tool", ".", ""}, // relative folders of PATH are ignored
		{"data", dir, ""}, // not executable
		{"./tool", "", tool},
		{"/bin/x", "", "/bin/x"},
	} {
		got, err := findExecutable(c.name, dir, c.path)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s in PATH %q: %q %v, want %q", c.name, c.path, got, err, c.want)
		}
	}
}
