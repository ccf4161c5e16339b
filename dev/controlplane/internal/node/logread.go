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

// logOptions is what `kubectl logs` can ask for.
type logOptions struct {
	follow     bool
	timestamps bool
	tail       int64 // lines; negative: all
	since      time.Time
	limit      int64 // bytes; negative: all
}

var wholeLog = logOptions{tail: -1, limit: -1}

// followInterval is how soon a follower sees a new line.
const followInterval = 100 * time.Millisecond

// readLog writes the log at path to out. A follower is served until complete is closed.
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
	p := &logPrinter{out: bufio.NewWriter(out), options: o, left: o.limit, lineStart: true}
	lines := bufio.NewReaderSize(f, 2*longestPart)
	var entry []byte
	last := !o.follow // there is nothing to come after the next end of file
	for {
		part, err := lines.ReadBytes('\n')
		entry = append(entry, part...)
		switch {
		case err == nil:
			if err := p.print(entry[:len(entry)-1]); err != nil {
				return endOfLimit(err, p.out.Flush())
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

func endOfLimit(err, flush error) error {
	if errors.Is(err, errLimit) {
		return flush
	}
	return err
}

type logPrinter struct {
	out       *bufio.Writer
	options   logOptions
	left      int64 // bytes; negative: no limit
	lineStart bool  // the entry before ended its line
}

// print writes one entry as the client wants it.
func (p *logPrinter) print(entry []byte) error {
	stamp, rest, _ := bytes.Cut(entry, []byte(" "))
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // stream
	tag, text, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return nil // not an entry of ours
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
	if p.left < 0 {
		_, err := p.out.Write(b)
		return err
	}
	cut := b[:min(int64(len(b)), p.left)]
	p.left -= int64(len(cut))
	if _, err := p.out.Write(cut); err != nil {
		return err
	}
	if p.left == 0 {
		return errLimit
	}
	return nil
}

// tailOffset is where the last n entries begin.
func tailOffset(f *os.File, n int64) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return end, err
	}
	const window = 64 << 10
	buf := make([]byte, window)
	seen := int64(-1) // the line feed that ends the last entry begins nothing
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
			if seen++; seen == n {
				return at + i + 1, nil
			}
		}
	}
	return 0, nil
}

// tailOfLog is the end of a complete log, at most so many lines and bytes.
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
