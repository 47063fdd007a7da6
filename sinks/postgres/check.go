package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Check looks at the server and the targets of the tables and changes nothing; see spec.Checker.
func (c *Config) Check(ctx context.Context, env spec.Env, tables []*pipeline.Schema) []spec.Finding {
	s, err := c.connect(ctx, "pipe "+env.Pipeline)
	if err != nil {
		return []spec.Finding{{Severity: spec.Error, Code: "PGS-001", Attr: "dsn", Unreachable: true,
			Summary: "the target server cannot be used", Detail: err.Error(),
			Fix: pipeline.HintOf(explain(env.Address, err))}}
	}
	defer s.close()
	k := &checker{cfg: c, conn: s, env: env, owner: map[name]string{}}
	if !k.server(ctx) {
		return k.found
	}
	for _, t := range tables {
		if err := k.table(ctx, t); err != nil {
			k.add(spec.Finding{Severity: spec.Error, Code: "PGS-002", Summary: "the target of " + t.Name() +
				" cannot be examined",
				Detail: err.Error(), Unreachable: sqlState(err) == ""})
			return k.found
		}
	}
	return k.found
}

// checker collects findings about one sink.
type checker struct {
	cfg   *Config
	conn  *conn
	env   spec.Env
	owner map[name]string // the source table that claims a target
	found []spec.Finding
}

func (k *checker) add(f spec.Finding) { k.found = append(k.found, f) }

const serverSQL = `SELECT pg_is_in_recovery(), has_database_privilege(current_database(), 'TEMP'),
	has_database_privilege(current_database(), 'CREATE'), current_database(), current_user,
	current_setting('server_encoding'), to_regnamespace($1) IS NOT NULL,
	coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE, USAGE'), false)`

// server checks what does not depend on a table, and reports whether to go on.
func (k *checker) server(ctx context.Context) bool {
	rows, err := k.conn.query(ctx, serverSQL, ident(k.cfg.StateSchema))
	if err != nil {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-001", Attr: "dsn",
			Summary: "the target server cannot be examined",
			Detail:  err.Error(), Unreachable: sqlState(err) == ""})
		return false
	}
	r := rows[0]
	database, user, schema := ident(r[3]), ident(r[4]), ident(k.cfg.StateSchema)
	if r[0] == "t" {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-003", Attr: "dsn",
			Summary: "the target server is a read-only standby",
			Fix:     "Name the primary in dsn, or all hosts with target_session_attrs=read-write", Unreachable: true})
	}
	if r[1] != "t" {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-004",
			Summary: "the role may not make temporary tables",
			Detail:  "Large batches are staged in temporary tables.", Fix: "GRANT TEMPORARY ON DATABASE " +
				database + " TO " + user})
	}
	if r[6] != "t" && r[2] != "t" {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-005", Attr: "state_schema",
			Summary: "the schema for positions does not exist and cannot be created",
			Fix:     "CREATE SCHEMA " + schema + " AUTHORIZATION " + user})
	}
	if r[6] == "t" && r[7] != "t" {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-006", Attr: "state_schema",
			Summary: "the role may not create tables in the schema for positions",
			Fix:     "GRANT CREATE, USAGE ON SCHEMA " + schema + " TO " + user})
	}
	if r[5] != "UTF8" {
		k.add(spec.Finding{Severity: spec.Warning, Code: "PGS-007",
			Summary: "the target database's encoding is " + r[5],
			Detail:  "Characters that it does not have will be refused."})
	}
	if !k.conn.replica {
		k.add(spec.Finding{Severity: spec.Warning, Code: "PGS-008",
			Summary: "the role may not set session_replication_role",
			Detail: "Triggers and foreign keys of the target are checked for every row; where there are foreign keys," +
				" rows are written in the source's order, which is slower.",
			Fix: "GRANT SET ON PARAMETER session_replication_role TO " + user})
	}
	return true
}

// table checks the target of one table.
func (k *checker) table(ctx context.Context, s *pipeline.Schema) error {
	n, err := k.cfg.targetName(s)
	if err != nil {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-010", Attr: "into", Summary: "the target of " +
			s.Name() + " has no usable name", Detail: err.Error()})
		return nil
	}
	if other, ok := k.owner[n]; ok && other != s.Name() && !k.cfg.Merge {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-011", Attr: "into",
			Summary: fmt.Sprintf("%s and %s are both written to %s", other, s.Name(),
				n), Fix: "Give them different targets, or set merge = true"})
	}
	k.owner[n] = s.Name()
	for i := range s.Columns {
		if err := checkName(s.Columns[i].Name); err != nil {
			k.add(spec.Finding{Severity: spec.Error, Code: "PGS-012", Summary: "a column of " + s.Name() +
				" has no usable name", Detail: err.Error()})
		}
	}
	if len(s.Key) == 0 && k.cfg.Write == writeUpsert && !s.KeyFull {
		k.add(spec.Finding{Severity: spec.Warning, Code: "PGS-013", Summary: s.Name() +
			" has no key: an update or delete of it will stop the pipeline",
			Fix: "Add a primary key, or set write = \"append\""})
	}
	t, err := readTable(ctx, k.conn, n)
	var known *pipeline.Error
	if errors.As(err, &known) {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-014", Attr: "into", Summary: n.String() + " " +
			known.Err.Error(), Fix: known.Hint})
		return nil
	}
	if err != nil {
		return err
	}
	if t == nil {
		return k.absent(ctx, n, s)
	}
	return k.present(ctx, n, t, s)
}

// absent checks that a missing target can be created.
func (k *checker) absent(ctx context.Context, n name, s *pipeline.Schema) error {
	if !k.cfg.CreateTables {
		k.add(spec.Finding{Severity: spec.Error, Code: "PGS-015", Attr: "create_tables",
			Summary: "the target " + n.String() + " of " + s.Name() + " does not exist",
			Fix:     "Create it, or set create_tables = true"})
		return nil
	}
	rows, err := k.conn.query(ctx, `SELECT CASE WHEN to_regnamespace($1) IS NULL
		THEN has_database_privilege(current_database(), 'CREATE')
		ELSE has_schema_privilege(to_regnamespace($1)::oid, 'CREATE') END, current_user`, ident(n.schema))
	if left := k.cfg.leftOut(s, k.cfg.Load != nil && !k.cfg.Merge); len(left) > 0 {
		k.add(spec.Finding{Severity: spec.Info, Code: "PGS-021", Summary: "the table " + n.String() +
			" will be made without some of what " + s.Name() + " has", Detail: strings.Join(left, "; ")})
	}
	if err != nil || rows[0][0] == "t" {
		return err
	}
	k.add(spec.Finding{Severity: spec.Error, Code: "PGS-016", Summary: "the role may not create " +
		n.String(),
		Fix: "GRANT CREATE, USAGE ON SCHEMA " + ident(n.schema) + " TO " + ident(rows[0][1])})
	return nil
}

// present checks the columns, the key and the privileges of a target that exists.
func (k *checker) present(ctx context.Context, n name, t *table, s *pipeline.Schema) error {
	for i := range s.Columns {
		if c := &s.Columns[i]; t.attr(c.Name) == nil && k.cfg.SchemaChanges == changesFail {
			k.add(spec.Finding{Severity: spec.Error, Code: "PGS-017", Attr: "schema_changes",
				Summary: fmt.Sprintf("the target %s has no column %s", n,
					c.Name), Fix: "Add it, or set schema_changes = \"add_columns\""})
		}
	}
	plan := &target{name: n, table: t}
	if _, err := newPlan(k.cfg, plan, s); err != nil && !k.adds(t, s) {
		var e *pipeline.Error
		if errors.As(err, &e) {
			k.add(spec.Finding{Severity: spec.Error, Code: "PGS-018", Summary: s.Name() + ": " +
				e.Err.Error(), Fix: e.Hint})
		}
	}
	rows, err := k.conn.query(ctx, `SELECT has_table_privilege($1::regclass, 'INSERT'),
		has_table_privilege($1::regclass, 'UPDATE'), has_table_privilege($1::regclass, 'DELETE'),
		has_table_privilege($1::regclass, 'SELECT'), has_table_privilege($1::regclass, 'TRUNCATE'),
		current_user`, n.sql())
	if err != nil {
		return err
	}
	for i, right := range []string{"INSERT", "UPDATE", "DELETE", "SELECT", "TRUNCATE"} {
		if rows[0][i] == "t" {
			continue
		}
		severity := spec.Error
		if right == "TRUNCATE" && k.cfg.Truncates != truncatesApply {
			severity = spec.Info
		}
		k.add(spec.Finding{Severity: severity, Code: "PGS-019", Summary: "the role has no " + right +
			" on " + n.String(),
			Fix: "GRANT " + right + " ON " + n.sql() + " TO " + ident(rows[0][5])})
	}
	return nil
}

// adds reports whether all columns that would be missing are key columns that the sink will add.
func (k *checker) adds(t *table, s *pipeline.Schema) bool {
	if k.cfg.SchemaChanges != changesAdd && k.cfg.SchemaChanges != changesApply {
		return false
	}
	for i := range s.Columns {
		if t.attr(s.Columns[i].Name) != nil {
			return false
		}
	}
	return true
}
