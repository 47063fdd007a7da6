package mariadb

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// saveLedger saves what changed of the ledger and waits until that is durable, with the streams given.
func (r *runner) saveLedger(ctx context.Context, out pipeline.Output, also ...pipeline.Stream) error {
	streams, err := r.ledger.Save(ctx, out)
	if err != nil {
		return err
	}
	if streams = append(streams, also...); len(streams) == 0 {
		return nil
	}
	return out.Drain(ctx, streams...)
}

// record notes that a table's rows are taken for complete.
func (r *runner) record(t *table) {
	now := time.Now().UTC()
	r.ledger.Change(t.String(), func(e *snapshot.Entry) {
		*e = snapshot.Entry{Table: e.Table, Version: e.Version, Status: snapshot.Recorded, Estimate: -1, Started: now, Ended: now}
	})
}

// request notes that a table is to be read, as soon as what is open of it is done.
func (r *runner) request(t *table, reason snapshot.Reason, replace bool) {
	r.ledger.Change(t.String(), func(e *snapshot.Entry) {
		e.Queue = append(e.Queue, snapshot.Request{Table: t.String(), Reason: reason, Asked: time.Now().UTC(), Replace: replace})
	})
}

// begin notes that a table's first snapshot begins, with what there is to read.
func (r *runner) begin(t *table, left []snapshot.Segment) {
	now := time.Now().UTC()
	r.ledger.Change(t.String(), func(e *snapshot.Entry) {
		*e = snapshot.Entry{Table: e.Table, Version: e.Version, Status: snapshot.Running, Started: now, Estimate: t.Rows,
			Request: snapshot.Request{Table: t.String(), Reason: snapshot.ForInitial, Asked: now},
			Left:    left, Planned: t.ChunkBy == "", Queue: e.Queue}
	})
}

// reconcile makes the ledger of an earlier run one of the tables that are read now. A state from before
// there were ledgers has everything.
func (r *runner) reconcile() {
	old := r.ledger.Empty()
	for _, t := range r.picked {
		e, known := r.ledger.Entry(t.String())
		switch {
		case old, !known && t.Policy == policyNever:
			r.record(t)
		case !known:
			r.env.Log.Info("a table was added: its rows are read while the stream goes on", "table", t.String())
			r.request(t, snapshot.ForAdded, false)
		case t.Policy == policyAlways && !e.Status.Open() && len(e.Queue) == 0:
			r.request(t, snapshot.ForAlways, true)
		}
	}
	r.forgetOthers()
}

// forgetOthers drops what is known of tables that are not read any more.
func (r *runner) forgetOthers() {
	taken := map[string]bool{}
	for _, t := range r.picked {
		taken[t.String()] = true
	}
	for _, e := range r.ledger.Entries() {
		if taken[e.Table] {
			continue
		}
		r.env.Log.Info("a table is not read any more", "table", e.Table)
		r.ledger.Forget(e.Table)
	}
}

// unfinished returns why a first snapshot that was not finished must begin anew, and whether there is one
// at all. Where it need not, what is left of it is read while the stream goes on.
func (r *runner) unfinished(from pipeline.Checkpoint) (why error, open bool) {
	if _, running := from[snapshot.AttemptStream]; !running {
		return nil, false
	}
	chunks := 0
	for _, t := range r.picked {
		e, _ := r.ledger.Entry(t.String())
		if e.Request.Reason != snapshot.ForInitial {
			continue
		}
		chunks += e.ChunksDone
		if !e.Status.Open() {
			continue
		}
		if open = true; !t.resumes() && why == nil {
			why = errors.New("table " + t.String() + " has no key by which the rest of it could be read")
		}
	}
	a, err := snapshot.ParseAttempt(from[snapshot.AttemptStream])
	counted := err != nil || !a.Closed // else its chunks are being forgotten
	if open && why == nil && counted && chunks > delivered(from) {
		why = errors.New("a sink has lost rows of it")
	}
	return why, open
}

// delivered is how many chunks of an attempt the checkpoint has. A sink whose tables are emptied by a
// crash forgets them with the rows.
func delivered(from pipeline.Checkpoint) int {
	sum := 0
	for _, stream := range snapshot.Left(from) {
		if n, err := strconv.ParseUint(string(from[stream]), 16, 32); err == nil {
			sum += int(n)
		}
	}
	return sum
}

// asked reports whether the ledger has a request for the reason that is not served.
func (r *runner) asked(reason snapshot.Reason) bool {
	for _, e := range r.ledger.Entries() {
		if e.Status.Open() && e.Request.Reason == reason {
			return true
		}
		for _, q := range e.Queue {
			if q.Reason == reason {
				return true
			}
		}
	}
	return false
}
