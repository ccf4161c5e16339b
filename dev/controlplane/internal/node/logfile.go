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

// A log file holds lines like the container runtimes':
//
//	2006-01-02T15:04:05.000000000Z stdout F the text
//
// P instead of F marks a part of a line that goes on in the next entry.
const (
	logTime     = "2006-01-02T15:04:05.000000000Z07:00"
	longestPart = 16 << 10
)

// openLogs knows which log files are still being written.
type openLogs struct {
	mu    sync.Mutex
	files map[string]*logFile
}

func newOpenLogs() *openLogs { return &openLogs{files: map[string]*logFile{}} }

// create makes the file at path, empty.
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

// complete returns a channel that is closed once nothing more will be written to path.
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
	pumps    sync.WaitGroup
	readers  []*os.File

	mu   sync.Mutex
	file *os.File
	line []byte // scratch
}

// pipe returns a file whose content becomes lines of the given stream. The caller
// closes it once the process has it.
func (l *logFile) pipe(stream string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.readers = append(l.readers, r)
	l.pumps.Go(func() { l.pump(stream, r) })
	return w, nil
}

func (l *logFile) pump(stream string, r io.Reader) {
	lines := bufio.NewReaderSize(r, longestPart)
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

// write appends one entry; in one call, so that readers hardly ever see half of one.
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
	_, _ = l.file.Write(l.line) // a full disk must not stop the process that logs
}

// finish waits for the rest of the output, at most for patience, and closes the file.
func (l *logFile) finish(patience time.Duration) {
	// Reading from a pipe stops at the deadline even if somebody still holds its other end.
	for _, r := range l.readers {
		_ = r.SetReadDeadline(time.Now().Add(patience))
	}
	l.pumps.Wait()
	for _, r := range l.readers {
		_ = r.Close()
	}
	_ = l.file.Close()
	l.registry.mu.Lock()
	delete(l.registry.files, l.path)
	l.registry.mu.Unlock()
	close(l.complete)
}
