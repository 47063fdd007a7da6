package mariadb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The codes of what Check finds.
const (
	codeUnreachable = "MY-001"
	codeServer      = "MY-002"
	codeNoTables    = "MY-003"
	codeSettings    = "MY-004"
	codeNoKey       = "MY-005"
	codeEngine      = "MY-006"
	codeCascade     = "MY-007"
	codeGrants      = "MY-008"
)

// Check looks at server, settings and tables, and changes nothing.
func (c *Config) Check(ctx context.Context, env spec.Env, _ []*pipeline.Schema) []spec.Finding {
	r, err := newRunner(&Source{config: c, env: env})
	if err != nil {
		return []spec.Finding{{Severity: spec.Error, Code: codeSettings, Summary: err.Error(), Attr: "tables"}}
	}
	defer r.close()
	if err := r.look(ctx); err != nil {
		f := finding(codeUnreachable, "dsn", err)
		f.Unreachable = true
		return []spec.Finding{f}
	}
	var out []spec.Finding
	if err := r.server.refuse(); err != nil {
		return append(out, finding(codeServer, "", err))
	}
	if err := r.pick(ctx); err != nil {
		return append(out, finding(codeSettings, "tables", err))
	}
	if len(r.picked) == 0 {
		return append(out, spec.Finding{Severity: spec.Error, Code: codeNoTables, Attr: "tables",
			Summary: "no table matches", Fix: "pipe tables shows what is there"})
	}
	if len(withoutPolicy(r.picked, policyOnly)) > 0 {
		if err := r.server.refuseStream(); err != nil {
			out = append(out, finding(codeServer, "", err))
		}
		if _, err := r.admin.Query(ctx, "SHOW MASTER STATUS"); err != nil {
			out = append(out, finding(codeGrants, "user", err))
		}
	}
	return append(append(out, r.warnings()...), r.cascades(ctx)...)
}

// finding makes an error a finding with its hint as the fix.
func finding(code, attr string, err error) spec.Finding {
	err = classified(err)
	f := spec.Finding{Severity: spec.Error, Code: code, Attr: attr, Summary: err.Error(), Fix: pipeline.HintOf(err)}
	if e, ok := err.(*pipeline.Error); ok && e.Err != nil {
		f.Summary = e.Err.Error()
	}
	return f
}

// warnings are what may go wrong with the server's settings and the tables as they are.
func (r *runner) warnings() []spec.Finding {
	var out []spec.Finding
	warn := func(code, summary, detail, fix string) {
		out = append(out, spec.Finding{Severity: spec.Warning, Code: code, Summary: summary, Detail: detail, Fix: fix})
	}
	streamed := withoutPolicy(r.picked, policyOnly)
	if len(streamed) > 0 {
		if r.server.Metadata != "FULL" {
			warn(codeServer, "binlog_row_metadata is "+r.server.Metadata, "the log does not name its columns: after ALTER TABLE "+
				"changes that were logged before cannot be read", "SET GLOBAL binlog_row_metadata = FULL, and in the server's configuration")
		}
		if r.server.Image != "FULL" {
			warn(codeServer, "binlog_row_image is "+r.server.Image, "updates and deletes come without the columns that did not change",
				"SET GLOBAL binlog_row_image = FULL, and in the server's configuration")
		}
		if !r.server.Strict {
			warn(codeServer, "gtid_strict_mode is OFF", "sequence numbers may go back, which ends the stream", "SET GLOBAL gtid_strict_mode = ON")
		}
	}
	for _, t := range streamed {
		if t.Schema.KeyFull {
			warn(codeNoKey, fmt.Sprintf("table %s has no key", t), "a changed row can only be found by all of its values",
				"ALTER TABLE "+t.Quoted()+" ADD PRIMARY KEY (...)")
		}
	}
	for _, pattern := range r.unmatched() {
		warn(codeNoTables, fmt.Sprintf("no table matches %q", pattern), "or exclude names all that do", "pipe tables shows what is there")
	}
	for _, t := range withoutPolicy(r.picked, policyNever) {
		if t.Engine != "InnoDB" {
			warn(codeEngine, fmt.Sprintf("table %s has engine %s", t, t.Engine), "a snapshot of it may show changes that the stream brings again",
				"ALTER TABLE "+t.Quoted()+" ENGINE = InnoDB")
		}
	}
	return out
}

// unmatched returns the patterns that name no table: most often they are misspelt.
func (r *runner) unmatched() []string {
	var out []string
	for _, pattern := range r.config.Include {
		set, err := match.New([]string{pattern})
		if err == nil && !slices.ContainsFunc(r.catalog.Relations, func(t *relation) bool { return set.Index(t.Database, "", t.Name) >= 0 }) {
			out = append(out, pattern)
		}
	}
	return out
}

const queryCascades = `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE
	FROM information_schema.REFERENTIAL_CONSTRAINTS
	WHERE DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL')`

// cascades finds tables whose rows foreign keys change: those changes are not in the log.
func (r *runner) cascades(ctx context.Context) []spec.Finding {
	taken := map[string]bool{}
	for _, t := range withoutPolicy(r.picked, policyOnly) {
		taken[tableKey(t.Database, t.Name)] = true
	}
	var out []spec.Finding
	err := eachRow(ctx, r.admin, queryCascades, func(f *fields) {
		database, child, parent, onDelete, onUpdate := f.text(), f.text(), f.text(), f.text(), f.text()
		if !taken[tableKey(database, child)] {
			return
		}
		out = append(out, spec.Finding{Severity: spec.Warning, Code: codeCascade,
			Summary: fmt.Sprintf("a foreign key of table %s.%s changes its rows", database, child),
			Detail: fmt.Sprintf("ON DELETE %s ON UPDATE %s from %s: the server does not log these changes", strings.ToUpper(onDelete),
				strings.ToUpper(onUpdate), parent),
			Fix: "delete the rows of the referring table in the application, or give the target the same foreign key"})
	})
	if err != nil {
		return []spec.Finding{finding(codeUnreachable, "", err)}
	}
	return out
}

// Tables lists the tables of the server, taken or not.
func (c *Config) Tables(ctx context.Context, env spec.Env) ([]spec.TableInfo, error) {
	list, err := c.list(ctx, env)
	if err != nil {
		err = (&Source{config: c, env: env}).named(classified(err))
	}
	return list, err
}

func (c *Config) list(ctx context.Context, env spec.Env) ([]spec.TableInfo, error) {
	r, err := newRunner(&Source{config: c, env: env})
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if r.catalog, err = loadCatalog(ctx, r.admin, nil, r.settings.picker.only(), nil); err != nil {
		return nil, err
	}
	var out []spec.TableInfo
	for _, p := range r.settings.picker.pick(r.catalog) {
		info := spec.TableInfo{Taken: p.Taken, Why: p.Why, Rows: p.Rows, Bytes: p.Bytes, Identity: identity(p.relation)}
		info.Schema = &pipeline.Schema{System: pipeline.MariaDB, Database: p.Database, Table: p.Name}
		t, err := r.settings.table(p.relation, &r.server, 1)
		switch {
		case err == nil:
			info.Schema = t.Schema
		case p.Taken:
			return nil, &pipeline.Error{Class: pipeline.Input, Table: p.String(), Err: err}
		}
		if p.Taken {
			info.Snapshot, info.Omitted = t.Policy, t.Omit
		}
		out = append(out, info)
	}
	return out, nil
}

// identity says by what the table's rows are told apart.
func identity(r *relation) string {
	switch {
	case len(r.Key) == 0:
		return "nothing"
	case r.KeyIndex == "PRIMARY":
		return "default"
	}
	return "index " + r.KeyIndex
}
