package mariadb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// planner finds out what a start would do.
type planner struct {
	*runner
	saved pipeline.Checkpoint
	place place // of the saved position
	// first is why everything is read before the stream begins, anew why it is read beside a stream that
	// begins at the log's end; both are "" where the stream goes on.
	first, anew string
	refused     bool
	steps       []spec.Step
}

// Plan says what a start would read and forget; see spec.Planner.
func (c *Config) Plan(ctx context.Context, env spec.Env, in spec.PlanInput) ([]spec.Step, error) {
	s := &Source{config: c, env: env}
	r, err := newRunner(s)
	if err != nil {
		return nil, s.named(err)
	}
	defer r.close()
	p := &planner{runner: r, saved: in.Saved}
	if err := p.plan(ctx); err != nil {
		return nil, s.named(classified(err))
	}
	return p.steps, nil
}

func (p *planner) add(s spec.Step) { p.steps = append(p.steps, s) }

func (p *planner) refuse(what string, err error) {
	s := spec.Step{Verb: spec.Refuse, What: what, Why: err.Error(), SQL: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		s.Why = e.Err.Error()
	}
	p.refused = true
	p.add(s)
}

func (p *planner) plan(ctx context.Context) (err error) {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if p.ledger, err = snapshot.LoadLedger(p.saved); err != nil {
		return err
	}
	streams := len(withoutPolicy(p.picked, policyOnly)) > 0
	if streams {
		if err := p.server.refuseStream(); err != nil {
			p.refuse("stream", err)
		}
		if err := p.position(ctx); err != nil {
			return err
		}
	}
	for _, t := range p.picked {
		p.table(t)
	}
	p.removed()
	if streams && !p.refused {
		p.follow()
	}
	return nil
}

// position finds out what becomes of the saved position, as start does.
func (p *planner) position(ctx context.Context) error {
	saved, ok := p.saved[binlogStream]
	switch {
	case !ok && p.asked(snapshot.ForLost):
		p.anew = "the position in the log was lost"
		return nil
	case !ok && (snapshot.Attempted(p.saved) || !p.ledger.Empty()):
		p.first = "an earlier snapshot was not finished: it starts over"
		return nil
	case !ok:
		p.first = "first start"
		return nil
	}
	if _, err := parsePlace(saved); err != nil {
		p.refuse("stream", err)
		return nil
	}
	var lost, err error
	if p.place, lost = p.resume(saved); lost == nil {
		if lost, err = p.purged(ctx); err != nil {
			return err
		}
	}
	if lost != nil {
		return p.losing(lost)
	}
	if why, _ := p.unfinished(p.saved); why != nil {
		p.first = "an earlier snapshot was not finished and starts over: " + why.Error()
	}
	return nil
}

// losing finds out what becomes of a position that is lost, as lose does: where every streamed table's
// policy allows it, all are read again.
func (p *planner) losing(lost error) error {
	for _, t := range withoutPolicy(p.picked, policyOnly) {
		if policy := policyOf(t); policy != snapshot.WhenNeeded && policy != snapshot.Always {
			p.refuse("stream", lost)
			return nil
		}
	}
	p.anew = "the saved position is lost: " + lost.Error()
	var e *pipeline.Error
	if errors.As(lost, &e) && e.Err != nil {
		p.anew = "the saved position is lost: " + e.Err.Error()
	}
	return nil
}

// purged says why the log does not go back to the saved position, nil where it does. The oldest file says
// at its beginning what was in those before it.
func (p *planner) purged(ctx context.Context) (lost, err error) {
	files, err := p.admin.Query(ctx, "SHOW BINARY LOGS")
	if err != nil || len(files) == 0 {
		return nil, err
	}
	events, err := p.admin.Query(ctx, "SHOW BINLOG EVENTS IN "+quoteText(files[0][0].Text)+" LIMIT 3")
	if err != nil {
		return nil, err
	}
	const typeColumn, infoColumn = 2, 5
	oldest := binlog.Set{}
	for _, e := range events {
		if len(e) <= infoColumn || e[typeColumn].Text != "Gtid_list" {
			continue
		}
		if oldest, err = binlog.ParseSet(strings.Trim(e[infoColumn].Text, "[]")); err != nil {
			return nil, err
		}
	}
	from := p.place.set
	if p.place.held != nil {
		from = p.place.held
	}
	if from.Covers(oldest) {
		return nil, nil
	}
	return failed(pipeline.Environment, "Take a new snapshot (snapshot = \"when_needed\" does), or remove the saved position; "+
		"raise binlog_expire_logs_seconds to keep more",
		"the server has purged its log beyond the saved position: it begins at %s, the position is %s", oldest, from), nil
}

// policyOf is the table's policy; the configuration has checked the name.
func policyOf(t *table) snapshot.Policy {
	policy, err := snapshot.ParsePolicy(t.Policy)
	if err != nil {
		return snapshot.Initial
	}
	return policy
}

// table plans what becomes of a table's rows.
func (p *planner) table(t *table) {
	_, resumes := p.saved[binlogStream]
	s := p.ledger.Outlook(t.Schema.Name(), policyOf(t), snapshot.Course{Resumes: resumes, All: cmp.Or(p.first, p.anew), Beside: p.anew != ""})
	if s.Verb.Changes() {
		s.Size = &spec.Size{Rows: t.Rows, Bytes: t.Bytes}
	}
	p.add(s)
}

// removed plans what becomes of tables that are known and not read any more.
func (p *planner) removed() {
	if p.first != "" {
		return
	}
	p.steps = append(p.steps, p.ledger.Gone(func(name string) bool {
		return slices.ContainsFunc(p.picked, func(t *table) bool { return t.Schema.Name() == name })
	})...)
}

// follow says where the stream of changes begins.
func (p *planner) follow() {
	s := spec.Step{Verb: spec.Follow, What: "stream", Name: string(binlogStream)}
	switch {
	case p.first != "" && len(withoutPolicy(p.picked, policyNever)) > 0:
		s.Why = "from where the snapshot is taken"
	case p.first != "", p.anew != "":
		s.Why, s.Place = "from the log's end", p.server.Position.String()
	default:
		s.Why, s.Place = "from the saved position", p.place.set.String()
	}
	p.add(s)
}
