package mariadb

import (
	"context"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// maxNamed bounds the XA transactions that an error names.
const maxNamed = 10

// refuseXA refuses to begin while XA transactions are prepared: the log has their rows before the
// begin, and their outcome comes without them. One that is prepared from now on is in the log after
// the position that the server had before the question.
func (r *runner) refuseXA(ctx context.Context) error {
	rows, err := r.admin.Query(ctx, "XA RECOVER FORMAT='SQL'")
	if err != nil || len(rows) == 0 {
		return err
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row[len(row)-1].Text
	}
	return failed(pipeline.Retryable, "XA COMMIT or XA ROLLBACK each of them, such as XA ROLLBACK "+names[0]+"; then this goes on by itself",
		"XA transactions are prepared whose rows would be missed: %s", xaNames(names, maxNamed))
}

// begun is the place where a stream begins whose tables are as they were at set. It reads from the
// server's position of before the look for prepared XA transactions on: one that was prepared since and
// is committed after set has its rows there.
func (r *runner) begun(set binlog.Set) place {
	p := place{set: set}
	if !r.server.Position.Covers(set) {
		p.held = append(binlog.Set{}, r.server.Position...)
	}
	return p
}

// recovered is what the server says of prepared XA transactions while it is read.
type recovered struct {
	before binlog.Set // those that were prepared up to here
	alive  map[binlog.XID]bool
	after  binlog.Set // the outcomes of those that are not alive are up to here
}

// recoverXA asks which XA transactions are prepared.
func (r *runner) recoverXA(ctx context.Context) (*recovered, error) {
	conn, err := r.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	out := &recovered{before: r.server.Position, alive: map[binlog.XID]bool{}}
	err = eachRow(ctx, conn, "XA RECOVER", func(f *fields) {
		format, gtrid, bqual, data := f.int64(), int(f.int64()), int(f.int64()), f.text()
		if gtrid >= 0 && bqual >= 0 && gtrid+bqual == len(data) {
			out.alive[binlog.XID{Format: uint32(format), GTrid: data[:gtrid], Bqual: data[gtrid:]}] = true
		}
	})
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT @@global.gtid_binlog_pos")
	if err != nil {
		return nil, err
	}
	out.after, err = binlog.ParseSet(rows[0][0].Text)
	return out, err
}

// abandon finds transactions that were prepared, are so no more and have no outcome in the log: a
// server that does not write through loses some when it crashes. The position no longer reaches back
// for them; their rows stay until the end of the run, should an outcome come after all.
func (s *stream) abandon() {
	if s.recovered == nil || s.done != nil || !s.read.Covers(s.recovered.after) {
		return
	}
	for x, p := range s.held.byXID {
		if s.recovered.alive[x] || !s.recovered.before.Has(p.gtid) {
			continue
		}
		p.lost = true
		s.env.Log.Warn("the server has lost a prepared XA transaction, as in a crash: it is not waited for", "xid", x.String())
	}
	s.recovered = nil
}

// prepared handles the event that ends the rows of XA PREPARE.
func (s *stream) prepared(h *binlog.Header, body []byte) error {
	x, onePhase, err := binlog.ParseXAPrepare(body)
	if err != nil {
		return err
	}
	if onePhase && s.group.holds() {
		if err := s.outcome(x, true); err != nil {
			return err
		}
	}
	return s.end(h)
}

// outcome delivers or drops what was prepared.
func (s *stream) outcome(x binlog.XID, commit bool) error {
	p := s.held.byXID[x]
	defer s.held.drop(x)
	if !commit || s.group.skip {
		return nil
	}
	if p == nil {
		return failed(pipeline.Environment, "Remove this source's saved position and start again with a snapshot",
			"XA transaction %s is committed, but its rows were prepared before this source began", x)
	}
	if err := p.replay(s.data); err != nil {
		return fmt.Errorf("XA transaction %s: %w", x, err)
	}
	return nil
}
