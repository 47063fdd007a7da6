package mariadb

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// lagEvery is how often the server is asked for the end of its log, at the most.
const lagEvery = 5 * time.Second

// logFile is a file of the log with its size in bytes; as a place, what of it was read.
type logFile struct {
	name string
	size int64
}

// lag compares the place in the log up to which rows were emitted with the log's end, as the server
// said last. Safe for concurrent use.
type lag struct {
	mu    sync.Mutex
	read  logFile
	files []logFile // from that of the read place then on, or the last alone; nil: not known
}

// emitted records up to where rows were emitted.
func (l *lag) emitted(file string, at int64) {
	l.mu.Lock()
	l.read = logFile{name: file, size: at}
	l.mu.Unlock()
}

// ended records the files that the server has.
func (l *lag) ended(files []logFile) {
	l.mu.Lock()
	l.files = files
	l.mu.Unlock()
}

// reading returns the file that is being read.
func (l *lag) reading() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read.name
}

// bytes returns how many bytes are written and not emitted, as of the last look; -1: unknown.
func (l *lag) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read.name == "" || len(l.files) == 0 || compareFiles(l.files[0].name, l.read.name) > 0 {
		return -1
	}
	var n int64
	for _, f := range l.files {
		switch c := compareFiles(f.name, l.read.name); {
		case c > 0:
			n += f.size
		case c == 0:
			n += max(0, f.size-l.read.size)
		}
	}
	return n
}

// compareFiles orders files by their numbers, which have six digits or more.
func compareFiles(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// watch asks for the log's end until ctx ends. That it cannot is no reason to stop: the lag is unknown.
func (l *lag) watch(ctx context.Context, c *Connection) {
	var conn *wire.Conn
	var err error
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if conn == nil {
			conn, err = c.connect(ctx)
		}
		if err == nil {
			err = l.look(ctx, conn)
		}
		if err != nil && conn != nil {
			_ = conn.Close()
			conn = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// look asks for the log's end, and for the sizes of the files where another one is being read.
func (l *lag) look(ctx context.Context, conn *wire.Conn) error {
	rows, err := conn.Query(ctx, "SHOW MASTER STATUS")
	if err != nil || len(rows) == 0 || len(rows[0]) < 2 {
		return err
	}
	if rows[0][0].Text != l.reading() {
		if rows, err = conn.Query(ctx, "SHOW BINARY LOGS"); err != nil {
			return err
		}
	}
	files := make([]logFile, 0, len(rows))
	for _, row := range rows {
		size, err := strconv.ParseInt(row[1].Text, 10, 64)
		if err != nil {
			return err
		}
		files = append(files, logFile{name: row[0].Text, size: size})
	}
	l.ended(files)
	return nil
}

// follow moves the place in the file past an event. The place in an event has 32 bits, a file may be
// larger; inside of a group there may be none, from MariaDB 11.4 on.
func (s *stream) follow(h *binlog.Header) {
	switch {
	case h.Flags&binlog.FlagArtificial != 0 || h.Type == binlog.HeartbeatEvent || h.Type == binlog.RotateEvent:
	case h.End != 0:
		at := s.at&^0xffff_ffff | int64(h.End)
		if at < s.at {
			at += 1 << 32
		}
		s.at = at
	case s.group.open:
		s.at += int64(h.Size)
	}
}
