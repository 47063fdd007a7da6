package mariadb

import (
	"context"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// tip returns a place in the log before which there is nothing that start does not include; 0 where the
// stream will tell. On an idle server it is where the stream already is.
func (r *runner) tip(ctx context.Context, start place) (coord, error) {
	at, err := logEnd(ctx, r.admin)
	if err != nil {
		return 0, err
	}
	rows, err := r.admin.Query(ctx, "SELECT @@global.gtid_binlog_pos")
	if err != nil {
		return 0, err
	}
	set, err := binlog.ParseSet(rows[0][0].Text)
	if err != nil || !start.set.Covers(set) {
		return 0, err
	}
	return at, nil
}

// streamBeside follows changes, and reads tables meanwhile.
func (r *runner) streamBeside(ctx context.Context, start place, tip coord, out pipeline.Output) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := r.newLive(out)
	l.tip = tip
	r.live = l
	l.Prepare()
	l.fillAll()
	var others sync.WaitGroup
	others.Go(func() {
		_, err := r.ledger.Save(ctx, out)
		if err == nil {
			err = l.Run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	err := r.stream(ctx, start, out)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	others.Wait()
	return err
}

// adopt asks for the rows of a table that appeared. Where that is not saved before the run ends, the next
// one finds that it has no entry.
func (l *live) adopt(ctx context.Context, t *table) {
	if _, known := l.Ledger.Entry(t.String()); known {
		return
	}
	err := l.Desk.Ask(ctx, snapshot.Request{Table: t.String(), Reason: snapshot.ForAdded, Asked: time.Now().UTC()})
	if err != nil && ctx.Err() == nil {
		l.env.Log.Warn("a table that appeared could not be asked for", "table", t.String(), "error", err)
	}
}
