package mariadb

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// Help implements snapshot.Sharer.
func (s *Source) Help(b snapshot.Board) pipeline.Source {
	s.board = b
	s.enter("helping")
	return snapshot.Helper{Read: s.help, Status: s.Report}
}

// help reads what this process can claim.
func (s *Source) help(ctx context.Context, out pipeline.Output) error {
	r, err := newRunner(s)
	if err == nil {
		err = r.help(ctx, out)
		r.close()
	}
	if err != nil {
		return s.named(classified(err))
	}
	return nil
}

// help reads chunks of the share that is open. Where what was changed since the leader's moment cannot be
// told, or too much was, it leaves the share to others.
func (r *runner) help(ctx context.Context, out pipeline.Output) error {
	share, ok, err := r.source.board.Find(ctx)
	if err != nil || !ok {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	e, err := parseExported(share.Exported)
	if err != nil {
		return &pipeline.Error{Class: pipeline.Internal, Err: err}
	}
	server, err := identityOf(ctx, r.admin)
	if err != nil {
		return err
	}
	tables := r.sharedTables()
	switch {
	case e.server != server || !r.server.Position.Covers(e.place.set): // what it sees need not be later
		r.unfit(&share, "the server is another one than that of the process that leads the snapshot")
		return nil
	case shapeOf(tables) != share.Shape:
		r.unfit(&share, "the tables are not those of the process that leads the snapshot")
		return nil
	}
	m, err := r.apart(ctx, r.config.Workers)
	if err != nil {
		return errSnapshot(err)
	}
	defer m.close()
	left, err := r.touchedSince(ctx, e.place, tables)
	if why := new(unfitError); errors.As(err, &why) {
		r.unfit(&share, why.Error())
		return nil
	}
	if err != nil {
		return err
	}
	m.Set, m.File, m.End = e.place.set, e.file, e.end
	s := &snapshotReader{runner: r, out: out, byName: map[string]*table{}, moment: m, attempt: share.Attempt, left: left,
		time: share.Taken.UnixMicro() - pipeline.EpochMicros, gtid: m.Set.String()}
	for _, t := range tables {
		s.byName[t.String()] = t
	}
	return r.assist(ctx, s, &share)
}

// unfit says why this process does not help.
func (r *runner) unfit(share *snapshot.Share, why string) {
	r.env.Log.Warn("not helping with the snapshot of another process: "+why, "attempt", share.Attempt.ID)
}

// assist reads what it can claim.
func (r *runner) assist(ctx context.Context, s *snapshotReader, share *snapshot.Share) error {
	chunks, rows := 0, int64(0)
	sharing := s.sharing()
	sharing.Finished = func(f snapshot.Finished, _ bool) {
		chunks++
		rows += f.Rows
	}
	r.env.Log.Info("helping with the snapshot of another process", "attempt", share.Attempt.ID, "changed", s.left.count)
	err := sharing.Run(ctx)
	r.env.Log.Info("helped with the snapshot of another process", "chunks", chunks, "rows", rows, "left_out", s.leftOut.Load())
	return err
}

// apart opens n transactions, each with a snapshot of its own.
func (r *runner) apart(ctx context.Context, n int) (*moment, error) {
	m := &moment{}
	for range n {
		conn, err := r.config.connect(ctx)
		if err == nil {
			m.conns = append(m.conns, conn)
			err = conn.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
		}
		if err == nil {
			err = conn.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
		}
		if err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

// logged returns up to where the log has everything now: no snapshot that was opened before sees more.
func logged(ctx context.Context, conn *wire.Conn) (binlog.Set, error) {
	rows, err := conn.Query(ctx, "SELECT @@global.gtid_binlog_pos")
	if err != nil {
		return nil, err
	}
	return binlog.ParseSet(rows[0][0].Text)
}

// touchedSince reads the log from the leader's moment up to where it is now.
func (r *runner) touchedSince(ctx context.Context, from place, tables []*table) (*touched, error) {
	begun := time.Now()
	to, err := logged(ctx, r.admin)
	if err != nil {
		return nil, err
	}
	left := newTouched(tables)
	if err := r.scan(ctx, from, to, left); err != nil {
		return nil, err
	}
	r.env.Log.Debug("read what was changed since the snapshot of another process", "took", time.Since(begun), "rows", left.count)
	return left, nil
}
