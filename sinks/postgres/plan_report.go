package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// readOnly makes the server refuse what would change something, whatever is asked for.
const readOnly = "SET default_transaction_read_only = on"

// Plan says which tables a start would make or change; see spec.Planner.
func (c *Config) Plan(ctx context.Context, env spec.Env, in spec.PlanInput) ([]spec.Step, error) {
	p, err := c.planner(ctx, env)
	if err != nil {
		return nil, explain(env.Address, err)
	}
	defer p.conn.close()
	if err := p.stateTables(ctx); err != nil {
		return nil, explain(env.Address, err)
	}
	for _, s := range in.Tables {
		if err := p.table(ctx, s); err != nil {
			return nil, explain(env.Address, err)
		}
	}
	return p.steps, nil
}

// State implements spec.StateReader.
func (c *Config) State(ctx context.Context, env spec.Env) (pipeline.Checkpoint, error) {
	p, err := c.planner(ctx, env)
	if err != nil {
		return nil, explain(env.Address, err)
	}
	defer p.conn.close()
	kept, err := p.state.peek(ctx, p.conn)
	return kept, explain(env.Address, err)
}

// planner finds out what a start would do.
type planner struct {
	*binder
	conn    *conn
	schemas map[string]bool // that are there, or that an earlier step makes
	owner   map[name]string // the source table that claims a target
	taken   map[string]map[string]bool
	steps   []spec.Step
}

// planner connects; the session cannot write.
func (c *Config) planner(ctx context.Context, env spec.Env) (*planner, error) {
	s, err := c.connect(ctx, "pipe "+env.Pipeline)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, readOnly); err != nil {
		s.close()
		return nil, err
	}
	b := &binder{cfg: c, log: slog.New(slog.DiscardHandler), state: newState(c.StateSchema, env), admin: s}
	return &planner{binder: b, conn: s, schemas: map[string]bool{}, owner: map[name]string{},
		taken: map[string]map[string]bool{}}, nil
}

func (p *planner) add(s spec.Step) { p.steps = append(p.steps, s) }

func (p *planner) refuse(table string, err error) {
	s := spec.Step{Verb: spec.Refuse, What: "table", Name: table, Why: err.Error(), SQL: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		s.Why = e.Err.Error()
	}
	p.add(s)
}

// stateTables plans the tables that hold positions.
func (p *planner) stateTables(ctx context.Context) error {
	there, err := p.conn.query(ctx, "SELECT to_regclass($1) IS NOT NULL", p.state.schema+".made")
	if err != nil || there[0][0] == "t" {
		return err
	}
	if err := p.namespace(ctx, p.cfg.StateSchema, ""); err != nil {
		return err
	}
	p.add(spec.Step{Verb: spec.Create, What: "state", Name: p.cfg.StateSchema,
		Why: "the tables that hold positions and the fence are not there"})
	return nil
}

// namespace plans a schema where it is missing.
func (p *planner) namespace(ctx context.Context, schema, source string) error {
	if p.schemas[schema] {
		return nil
	}
	p.schemas[schema] = true
	there, err := p.conn.query(ctx, "SELECT to_regnamespace($1) IS NOT NULL", ident(schema))
	if err != nil || there[0][0] == "t" {
		return err
	}
	p.add(spec.Step{Verb: spec.Create, What: "schema", Name: schema, Why: "it does not exist", For: source,
		SQL: "CREATE SCHEMA IF NOT EXISTS " + ident(schema)})
	return nil
}

// table plans the target of one table.
func (p *planner) table(ctx context.Context, s *pipeline.Schema) error {
	n, err := p.cfg.targetName(s)
	if err != nil {
		p.refuse(s.Name(), err)
		return nil
	}
	if other := p.owner[n]; other != "" && other != s.Name() && !p.cfg.Merge {
		p.refuse(n.String(), &pipeline.Error{Err: fmt.Errorf("%s and %s are both written to it", other, s.Name()),
			Hint: "Give them different targets, or set merge = true"})
		return nil
	}
	first := p.owner[n] == ""
	p.owner[n] = s.Name()
	t, err := readTable(ctx, p.conn, n)
	if known := (*pipeline.Error)(nil); errors.As(err, &known) {
		p.refuse(n.String(), err)
		return nil
	}
	switch {
	case err != nil:
		return err
	case t != nil:
		return p.present(ctx, n, t, s)
	case !first:
		return nil // merged into a table that an earlier step makes
	}
	return p.absent(ctx, n, s)
}

// absent plans a target that is made.
func (p *planner) absent(ctx context.Context, n name, s *pipeline.Schema) error {
	if !p.cfg.CreateTables {
		p.refuse(n.String(), &pipeline.Error{Err: fmt.Errorf("the target of %s does not exist", s.Name()),
			Hint: "Create it, or set create_tables = true"})
		return nil
	}
	if err := p.namespace(ctx, n.schema, s.Name()); err != nil {
		return err
	}
	l := p.cfg.Load
	bulk := l != nil && !p.cfg.Merge && l.Method == methodCopy
	defs, err := p.tableDefs(ctx, p.conn, s, !bulk || !l.DeferIndexes)
	if err != nil {
		if pipeline.ClassOf(err) == pipeline.Input {
			p.refuse(n.String(), err)
			return nil
		}
		return err
	}
	step := spec.Step{Verb: spec.Create, What: "table", Name: n.String(), Why: "for " + s.Name(), For: s.Name()}
	step.SQL = "CREATE TABLE " + n.sql() + " (" + strings.Join(defs, ", ") + ")"
	if bulk && l.Unlogged {
		step.SQL = "CREATE UNLOGGED" + strings.TrimPrefix(step.SQL, "CREATE")
	}
	if left := p.cfg.leftOut(s, bulk); len(left) > 0 {
		step.Why += "; without " + strings.Join(left, "; ")
	}
	p.add(step)
	if bulk {
		return p.finish(ctx, n, l, s)
	}
	return nil
}

// finish plans what is done to a table that a load has filled.
func (p *planner) finish(ctx context.Context, n name, l *Load, s *pipeline.Schema) error {
	taken := p.taken[n.schema]
	if taken == nil {
		rows, err := p.conn.query(ctx, "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"+
			" WHERE n.nspname = $1", n.schema)
		if err != nil {
			return err
		}
		taken = map[string]bool{}
		for _, r := range rows {
			taken[r[0]] = true
		}
		p.taken[n.schema] = taken
	}
	taken[n.table] = true
	key := keyName(n, taken)
	indexes := p.indexes(n, s, taken)
	if !l.DeferIndexes {
		for i := range indexes {
			p.add(spec.Step{Verb: spec.Create, What: "index", Name: indexes[i].Index, Why: "with the table", For: s.Name(),
				SQL: indexes[i].sql()})
		}
	}
	for _, st := range p.binder.steps(n, "", l, s, key, indexes) {
		sql := st.sql()
		if st.Verb == stepKey {
			sql = st.adoptSQL(key)
		}
		p.add(spec.Step{Verb: spec.Alter, What: "table", Name: n.String(), Why: "once it is loaded", For: s.Name(), SQL: sql})
	}
	return nil
}

// present plans what becomes of a target that exists.
func (p *planner) present(ctx context.Context, n name, t *table, s *pipeline.Schema) error {
	x := &target{name: n, table: t}
	sql, err := p.evolution(ctx, p.conn, x, nil, s)
	if pipeline.ClassOf(err) == pipeline.Input {
		p.refuse(n.String(), err)
		return nil
	}
	if err != nil {
		return err
	}
	if sql != "" {
		p.add(spec.Step{Verb: spec.Alter, What: "table", Name: n.String(), Why: "to hold " + s.Name(), SQL: sql})
		return nil
	}
	x.deferred = p.loads(ctx, n)
	if _, err := newPlan(p.cfg, x, s); err != nil {
		p.refuse(n.String(), err)
		return nil
	}
	p.add(spec.Step{Verb: spec.Keep, What: "table", Name: n.String(), Why: "it holds " + s.Name()})
	return nil
}

// loads reports whether a load of the target is not finished, so that its key is still to be made.
func (p *planner) loads(ctx context.Context, n name) bool {
	steps, err := p.state.stepsOf(ctx, p.conn, "target", n.sql())
	return err == nil && len(steps) > 0
}

// peek returns the positions that claim would, without claiming.
func (s *state) peek(ctx context.Context, c *conn) (pipeline.Checkpoint, error) {
	kept := pipeline.Checkpoint{}
	for _, sink := range []string{s.sink, s.was} {
		for _, table := range []string{".checkpoint", ".checkpoint_unlogged"} {
			there, err := c.query(ctx, "SELECT to_regclass($1) IS NOT NULL", s.schema+table)
			if err != nil {
				return nil, err
			}
			if there[0][0] != "t" {
				continue
			}
			rows, err := c.query(ctx, "SELECT stream, position FROM "+s.schema+table+
				" WHERE pipeline = $1 AND sink = $2", s.pipeline, sink)
			if err != nil {
				return nil, err
			}
			for _, r := range rows {
				kept[pipeline.Stream(r[0])] = pipeline.Position(r[1])
			}
		}
		if len(kept) > 0 {
			break // what is stored under the new address wins
		}
	}
	return kept, nil
}
