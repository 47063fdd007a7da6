package postgres

import (
	"context"
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// planner finds out what a start would do.
type planner struct {
	*runner
	saved  pipeline.Checkpoint
	ledger *snapshot.Ledger
	have   *slot
	// lost is why the saved position is of no use; nil where it is good, or there is none.
	lost  error
	sizes map[string]spec.Size
	steps []spec.Step
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
	s := spec.Step{Verb: spec.Refuse, What: what, Name: name, Why: err.Error(), SQL: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		s.Why = e.Err.Error()
	}
	p.add(s)
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
		if err := p.position(ctx); err != nil {
			return err
		}
		p.planSlot()
	}
	for _, t := range p.tables {
		p.table(t)
	}
	p.removed()
	if len(streamed) > 0 {
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

// position checks the saved position as a start does.
func (p *planner) position(ctx context.Context) (err error) {
	saved, ok := p.saved[walStream]
	if !ok {
		return nil
	}
	if p.repl, p.socket, err = p.config.connectReplication(ctx); err != nil {
		return err
	}
	if p.identity, err = identify(ctx, p.repl); err != nil {
		return err
	}
	_, p.lost = p.resume(saved, p.have)
	return nil
}

// planSlot plans what becomes of the slot.
func (p *planner) planSlot() {
	s := spec.Step{What: "slot", Name: p.config.Slot}
	create := "CREATE_REPLICATION_SLOT " + quoteName(p.config.Slot) + " LOGICAL pgoutput"
	_, resumed := p.saved[walStream]
	begins := !resumed || p.lost != nil && p.rereads()
	wanted := len(withoutPolicy(p.tables, policyNever)) > 0
	switch {
	case p.lost != nil && !begins:
		p.refuse("stream", "", p.lost)
		return
	case p.have != nil && !begins:
		s.Verb, s.Why = spec.Keep, "changes are read from it"
	case !p.config.creates("slot") && p.have == nil:
		p.refuse("slot", p.config.Slot, p.config.missingSlot())
		return
	case p.have != nil && (!wanted || !p.config.creates("slot")):
		if err := p.have.refuse(p.config, p.server.Database); err != nil {
			p.refuse("slot", p.config.Slot, err)
			return
		}
		s.Verb, s.Why = spec.Keep, "it was made by somebody else, and the stream begins there"
	case p.have != nil:
		p.add(spec.Step{Verb: spec.Drop, What: "slot", Name: p.config.Slot,
			Why: "it belongs to no saved position, so the snapshot is taken anew",
			SQL: "SELECT pg_drop_replication_slot(" + quoteLiteral(p.config.Slot) + ")"})
		s.Verb, s.Why, s.SQL = spec.Create, "to begin where the snapshot is taken", create
	default:
		s.Verb, s.Why, s.SQL = spec.Create, "it does not exist", create
	}
	p.add(s)
}

// rereads reports whether a start begins anew where the position is lost: only if every streamed table's
// policy says so.
func (p *planner) rereads() bool {
	for _, t := range withoutPolicy(p.tables, policyOnly) {
		if policy := policyOf(t); policy != snapshot.WhenNeeded && policy != snapshot.Always {
			return false
		}
	}
	return true
}

// policyOf is the table's policy; the configuration has checked the name.
func policyOf(t *table) snapshot.Policy {
	policy, err := snapshot.ParsePolicy(t.Policy)
	if err != nil {
		return snapshot.Initial
	}
	return policy
}

// follow says where the stream of changes begins.
func (p *planner) follow() {
	saved, ok := p.saved[walStream]
	s := spec.Step{Verb: spec.Follow, What: "stream", Name: string(walStream), Why: "from where the snapshot is taken"}
	switch {
	case p.lost != nil && !p.rereads():
		return
	case p.lost != nil:
	case ok:
		s.Why = "from the saved position"
		if lsn, _, err := parsePosition(saved); err == nil {
			s.Place = formatLSN(lsn)
		}
	case p.have != nil && len(withoutPolicy(p.tables, policyNever)) == 0:
		s.Why, s.Place = "from the slot's position", formatLSN(p.have.Confirmed)
	}
	p.add(s)
}
