package postgres

import (
	"context"
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// course is how a start begins.
type course uint8

const (
	courseFirst   course = iota // with a snapshot of everything
	courseResume                // from the saved position
	courseFinish                // with what is left of a first snapshot
	courseAnew                  // with a new slot, beside which everything is read again
	courseRefused               // not at all
)

// planner finds out what a start would do.
type planner struct {
	*runner
	saved  pipeline.Checkpoint
	have   *slot
	course course
	why    string // the rows of all tables are read; "": each has its own reason
	begin  string // LSN that the stream begins at, "" where it is not known before
	sizes  map[string]spec.Size
	steps  []spec.Step
}

// Plan says what a start would make, read and forget; see spec.Planner.
func (c *Config) Plan(ctx context.Context, env spec.Env, in spec.PlanInput) ([]spec.Step, error) {
	s := &Source{config: c, env: env}
	r, err := newRunner(s)
	if err != nil {
		return nil, s.named(err)
	}
	defer r.close()
	p := &planner{runner: r, saved: in.Saved, sizes: map[string]spec.Size{}}
	if err := p.plan(ctx); err != nil {
		return nil, s.named(c.classified(err))
	}
	return p.steps, nil
}

func (p *planner) add(s spec.Step) { p.steps = append(p.steps, s) }

func (p *planner) refuse(what, name string, err error) {
	s := spec.Step{Verb: spec.Refuse, What: what, Name: name, Why: reason(err), SQL: pipeline.HintOf(err)}
	p.add(s)
}

// reason is what an error says without its place and hint.
func reason(err error) string {
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

func (p *planner) plan(ctx context.Context) (err error) {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := execute(ctx, p.admin, "forbid writing", "SET default_transaction_read_only = on"); err != nil {
		return err
	}
	if err := p.measure(ctx); err != nil {
		return err
	}
	if p.ledger, err = snapshot.LoadLedger(p.saved); err != nil {
		return err
	}
	if p.have, err = loadSlot(ctx, p.admin, p.config.Slot); err != nil {
		return err
	}
	streamed := withoutPolicy(p.tables, policyOnly)
	if len(streamed) > 0 {
		if err := p.publication(ctx, streamed); err != nil {
			return err
		}
		if err := p.chart(ctx); err != nil {
			return err
		}
		p.planSlot()
	}
	for _, t := range p.tables {
		p.table(t)
	}
	if p.course != courseFirst {
		p.removed()
	}
	if len(streamed) > 0 && p.course != courseRefused {
		p.follow()
	}
	return nil
}

// measure notes how large the tables are, as the server knows.
func (p *planner) measure(ctx context.Context) error {
	all, err := p.config.Tables(ctx, p.env)
	for _, t := range all {
		p.sizes[t.Schema.Name()] = spec.Size{Rows: t.Rows, Bytes: t.Bytes}
	}
	return err
}

// publication plans what publish does.
func (p *planner) publication(ctx context.Context, tables []*table) error {
	have, err := loadPublication(ctx, p.admin, p.config.Publication, p.server.Version)
	if err != nil {
		return err
	}
	s := spec.Step{Verb: spec.Keep, What: "publication", Name: p.config.Publication}
	switch {
	case !p.config.creates("publication") || have != nil && have.AllTables:
		if err := p.checkPublication(have, tables); err != nil {
			p.refuse("publication", p.config.Publication, err)
			return nil
		}
		s.Why = "it publishes every table that is taken"
	case have == nil:
		s.Verb, s.Why, s.SQL = spec.Create, "it does not exist", p.createPublicationSQL(tables)
	case !p.agrees(have, tables):
		s.Verb, s.Why, s.SQL = spec.Alter, "it does not publish exactly the tables that are taken",
			p.alterPublicationSQL(have, tables)
	default:
		s.Why = "it publishes exactly the tables that are taken"
	}
	p.add(s)
	return nil
}

// chart finds out how a start begins, as start does.
func (p *planner) chart(ctx context.Context) (err error) {
	if p.repl, p.socket, err = p.config.connectReplication(ctx); err != nil {
		return err
	}
	if p.identity, err = identify(ctx, p.repl); err != nil {
		return err
	}
	saved, ok := p.saved[walStream]
	if !ok {
		p.chartFirst()
		return nil
	}
	at, err := p.resume(saved, p.have)
	if errors.Is(err, errLost) {
		cause := reason(err)
		if err = p.rereads(err, p.have); err == nil {
			p.course, p.why = courseAnew, "the saved position is lost: "+cause
			return nil
		}
	}
	if err != nil {
		p.course = courseRefused
		p.refuse("stream", "", err)
		return nil
	}
	p.course, p.begin = courseResume, formatLSN(at)
	return nil
}

// chartFirst finds out how a start begins that has no position in the stream.
func (p *planner) chartFirst() {
	if p.lost(p.saved) {
		p.course, p.why = courseAnew, "the saved position was lost"
		return
	}
	if at, ok := p.goesOn(p.have, p.saved); ok {
		p.course, p.begin = courseFinish, formatLSN(at)
		return
	}
	p.why = "first start"
	if snapshot.Attempted(p.saved) || !p.ledger.Empty() {
		p.why = "an earlier snapshot was not finished: it starts over"
	}
}

// planSlot plans what becomes of the slot.
func (p *planner) planSlot() {
	s := spec.Step{Verb: spec.Create, What: "slot", Name: p.config.Slot, Why: "it does not exist",
		SQL: "CREATE_REPLICATION_SLOT " + quoteName(p.config.Slot) + " LOGICAL pgoutput"}
	drop := spec.Step{Verb: spec.Drop, What: "slot", Name: p.config.Slot, Why: "it belongs to no saved position",
		SQL: "SELECT pg_drop_replication_slot(" + quoteLiteral(p.config.Slot) + ")"}
	beside := p.course == courseFirst && len(withoutPolicy(p.tables, policyNever)) == 0 || !p.config.creates("slot")
	switch {
	case p.course == courseRefused:
		return
	case p.course == courseResume, p.course == courseFinish:
		s = spec.Step{Verb: spec.Keep, What: "slot", Name: p.config.Slot, Why: "changes are read from it"}
	case p.have == nil && !p.config.creates("slot"):
		p.course = courseRefused
		p.refuse("slot", p.config.Slot, p.config.missingSlot())
		return
	case p.have != nil && beside:
		if err := p.have.refuse(p.config, p.server.Database); err != nil {
			p.course = courseRefused
			p.refuse("slot", p.config.Slot, err)
			return
		}
		s = spec.Step{Verb: spec.Keep, What: "slot", Name: p.config.Slot, Why: "it was made by somebody else"}
		if p.course == courseAnew || len(withoutPolicy(p.tables, policyNever)) == 0 {
			p.begin = formatLSN(p.have.Confirmed)
		}
	case p.have != nil:
		p.add(drop)
		s.Why = "the stream begins anew"
	}
	p.add(s)
}

// follow says where the stream of changes begins.
func (p *planner) follow() {
	s := spec.Step{Verb: spec.Follow, What: "stream", Name: string(walStream), Place: p.begin}
	switch {
	case p.course == courseResume:
		s.Why = "from the saved position"
	case p.course == courseFinish:
		s.Why = "from where the snapshot was taken"
	case p.begin != "":
		s.Why = "from the slot's position"
	case p.course == courseAnew:
		s.Why = "from where the slot is made"
	default:
		s.Why = "from where the snapshot is taken"
	}
	p.add(s)
}
