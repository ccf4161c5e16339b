package node

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A log file contains entries in the format of the container runtimes:
//
//	2006-01-02T15:04:05.000000000Z stdout F the text
//
// P instead of F marks a partial line that continues in the next entry.
const (
	logTime      = "2006-01-02T15:04:05.000000000Z07:00"
	maxPartBytes = 16 << 10
)

// openLogs is the set of log files that are still being written.
type openLogs struct {
	mu    sync.Mutex
	files map[string]*logFile
}

func newOpenLogs() *openLogs { return &openLogs{files: map[string]*logFile{}} }

// create creates an empty file at path.
func (o *openLogs) create(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	l := &logFile{path: path, file: file, registry: o, complete: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[path] = l
	return l, nil
}

// complete returns a channel that is closed after the last write to path.
func (o *openLogs) complete(path string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l, ok := o.files[path]; ok {
		return l.complete
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// logFile is the log of one running attempt.
type logFile struct {
	path     string
	registry *openLogs
	complete chan struct{}
	copiers  sync.WaitGroup
	readers  []*os.File

	mu   sync.Mutex
	file *os.File
	line []byte // reused buffer
}

// pipe returns a file whose content becomes entries of the given stream. The caller closes
// it after the process has inherited it.
func (l *logFile) pipe(stream string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.readers = append(l.readers, r)
	l.copiers.Go(func() { l.copyLines(stream, r) })
	return w, nil
}

func (l *logFile) copyLines(stream string, r io.Reader) {
	lines := bufio.NewReaderSize(r, maxPartBytes)
	for {
		part, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			l.write(stream, "F", part[:len(part)-1])
		case errors.Is(err, bufio.ErrBufferFull):
			l.write(stream, "P", part)
		default:
			if len(part) > 0 {
				l.write(stream, "P", part) // the output did not end with a line feed
			}
			return
		}
	}
}

// write appends one entry in one call, so that readers rarely see a partial one.
func (l *logFile) write(stream, tag string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = time.Now().UTC().AppendFormat(l.line[:0], logTime)
	l.line = append(l.line, ' ')
	l.line = append(l.line, stream...)
	l.line = append(l.line, ' ')
	l.line = append(l.line, tag...)
	l.line = append(l.line, ' ')
	l.line = append(l.line, text...)
	l.line = append(l.line, '\n')
	_, _ = l.file.Write(l.line) // a full disk must not stop the logging process
}

// finish waits for the remaining output, at most for timeout, and closes the file.
func (l *logFile) finish(timeout time.Duration) {
	// Reading from a pipe stops at the deadline even if another process holds its other end.
	for _, r := range l.readers {
		_ = r.SetReadDeadline(time.Now().Add(timeout))
	}
	l.copiers.Wait()
	for _, r := range l.readers {
		_ = r.Close()
	}
	_ = l.file.Close()
	l.registry.mu.Lock()
	delete(l.registry.files, l.path)
	l.registry.mu.Unlock()
	close(l.complete)
}
