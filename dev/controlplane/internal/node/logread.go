package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// logOptions are the options of `kubectl logs`.
type logOptions struct {
	follow     bool
	timestamps bool
	tail       int64 // lines; negative: all
	since      time.Time
	limit      int64 // bytes; negative: all
}

var wholeLog = logOptions{tail: -1, limit: -1}

// followInterval is the interval at which a follower checks for new lines.
const followInterval = 100 * time.Millisecond

// readLog writes the log at path to out. With follow it continues until complete is closed.
func readLog(ctx context.Context, out io.Writer, path string, complete <-chan struct{}, o logOptions) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if o.tail >= 0 {
		at, err := tailOffset(f, o.tail)
		if err != nil {
			return err
		}
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
	}
	p := &logPrinter{out: bufio.NewWriter(out), options: o, remaining: o.limit, lineStart: true}
	lines := bufio.NewReaderSize(f, 2*maxPartBytes)
	var entry []byte
	last := !o.follow // return at the next end of file
	for {
		part, err := lines.ReadBytes('\n')
		entry = append(entry, part...)
		switch {
		case err == nil:
			if err := p.print(entry[:len(entry)-1]); err != nil {
				return ignoreLimit(err, p.out.Flush())
			}
			entry = entry[:0]
			continue
		case !errors.Is(err, io.EOF):
			return err
		}
		if err := p.out.Flush(); err != nil {
			return err
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-complete:
			last = true
		case <-time.After(followInterval):
		}
	}
}

var errLimit = errors.New("byte limit reached")

func ignoreLimit(err, flush error) error {
	if errors.Is(err, errLimit) {
		return flush
	}
	return err
}

type logPrinter struct {
	out       *bufio.Writer
	options   logOptions
	remaining int64 // bytes; negative: no limit
	lineStart bool  // the previous entry ended its line
}

// print writes one entry according to the options.
func (p *logPrinter) print(entry []byte) error {
	stamp, rest, _ := bytes.Cut(entry, []byte(" "))
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // stream
	tag, text, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return nil // not a valid entry
	}
	if !p.options.since.IsZero() {
		at, err := time.Parse(logTime, string(stamp))
		if err != nil || at.Before(p.options.since) {
			return nil
		}
	}
	if p.options.timestamps && p.lineStart {
		if err := p.write(append(stamp[:len(stamp):len(stamp)], ' ')); err != nil {
			return err
		}
	}
	if err := p.write(text); err != nil {
		return err
	}
	p.lineStart = string(tag) == "F"
	if p.lineStart {
		return p.write([]byte("\n"))
	}
	return nil
}

func (p *logPrinter) write(b []byte) error {
	if p.remaining < 0 {
		_, err := p.out.Write(b)
		return err
	}
	cut := b[:min(int64(len(b)), p.remaining)]
	p.remaining -= int64(len(cut))
	if _, err := p.out.Write(cut); err != nil {
		return err
	}
	if p.remaining == 0 {
		return errLimit
	}
	return nil
}

// tailOffset returns the offset of the last n entries.
func tailOffset(f *os.File, n int64) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return end, err
	}
	const window = 64 << 10
	buf := make([]byte, window)
	count := int64(-1) // the line feed after the last entry starts no entry
	for at := end; at > 0; {
		size := min(window, at)
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil {
			return 0, err
		}
		for i := size - 1; i >= 0; i-- {
			if buf[i] != '\n' {
				continue
			}
			if count++; count == n {
				return at + i + 1, nil
			}
		}
	}
	return 0, nil
}

// tailOfLog returns the end of a complete log, limited to a number of lines and bytes.
func tailOfLog(path string, lines, size int64) (string, error) {
	closed := make(chan struct{})
	close(closed)
	o := wholeLog
	o.tail = lines
	var b strings.Builder
	err := readLog(context.Background(), &b, path, closed, o)
	s := b.String()
	return s[max(0, int64(len(s))-size):], err
}
