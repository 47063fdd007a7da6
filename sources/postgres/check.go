package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The codes of what Check finds beside the catalogue's.
const (
	codeUnreachable = "PG-001"
	codeServer      = "PG-002"
	codeNoTables    = "PG-003"
	codePublication = "PG-004"
	codeSlot        = "PG-005"
	codeSettings    = "PG-006"
	codeNoTLS       = "PG-007"
	codeUnmatched   = "PG-008"
)

// Check looks at server, settings, tables, publication and slot, and changes nothing. It does not
// make a replication connection: that takes one of max_wal_senders from others.
func (c *Config) Check(ctx context.Context, env spec.Env, _ []*pipeline.Schema) []spec.Finding {
	r, err := newRunner(&Source{config: c, env: env})
	if err != nil {
		return []spec.Finding{{Severity: spec.Error, Code: codeSettings, Summary: err.Error(), Attr: "tables"}}
	}
	defer r.close()
	if r.admin, err = c.connect(ctx); err == nil {
		r.server, err = loadServer(ctx, r.admin)
	}
	if err != nil {
		f := c.finding(codeUnreachable, "dsn", err)
		f.Unreachable = true
		return []spec.Finding{f}
	}
	out := c.checkServer(r.server)
	out = append(out, c.checkTLS(r.admin)...)
	r.catalog, err = loadCatalog(ctx, r.admin, r.settings.picker.wants(r.server.Database))
	if err != nil {
		return append(out, c.finding(codeUnreachable, "", err))
	}
	out = append(append(out, r.settings.findings(r.catalog)...), c.unmatched(r.catalog)...)
	if r.tables, err = r.settings.tables(r.catalog); err != nil {
		return append(out, c.finding(codeSettings, "tables", err))
	}
	if len(r.tables) == 0 {
		return append(out, spec.Finding{Severity: spec.Error, Code: codeNoTables, Attr: "tables",
			Summary: fmt.Sprintf("no table of database %s matches", r.server.Database),
			Fix:     "pipe tables shows what is there"})
	}
	if streamed := withoutPolicy(r.tables, policyOnly); len(streamed) > 0 {
		out = append(out, r.checkUpstream(ctx, streamed)...)
	}
	return out
}

// finding makes an error a finding with its hint as the fix.
func (c *Config) finding(code, attr string, err error) spec.Finding {
	err = c.classified(err)
	f := spec.Finding{Severity: spec.Error, Code: code, Attr: attr, Summary: err.Error(), Fix: pipeline.HintOf(err)}
	if e, ok := err.(*pipeline.Error); ok && e.Err != nil {
		f.Summary = e.Err.Error()
	}
	return f
}

func (c *Config) checkServer(s server) []spec.Finding {
	var out []spec.Finding
	if err := s.refuse(); err != nil {
		out = append(out, c.finding(codeServer, "", err))
	}
	if s.SenderTimeout > 0 && c.StatusInterval > s.SenderTimeout/statusPerWait {
		out = append(out, spec.Finding{Severity: spec.Info, Code: codeSettings, Attr: "status_interval",
			Summary: fmt.Sprintf("status_interval is shortened to a third of wal_sender_timeout (%v)",
				s.SenderTimeout)})
	}
	return out
}

func (c *Config) checkTLS(conn *pgconn.PgConn) []spec.Finding {
	if c.plain(conn) {
		return []spec.Finding{{Severity: spec.Warning, Code: codeNoTLS, Attr: "dsn", Summary: plainSummary,
			Fix: plainFix}}
	}
	if cfg, err := c.config(); err == nil && c.fallsBack(cfg) {
		return []spec.Finding{{Severity: spec.Warning, Code: codeNoTLS, Attr: "dsn",
			Summary: "sslmode is prefer: the connection may silently go without TLS",
			Fix:     `sslmode = "verify-full"`}}
	}
	return nil
}

// checkUpstream checks publication and slot as far as they exist.
func (r *runner) checkUpstream(ctx context.Context, tables []*table) []spec.Finding {
	var out []spec.Finding
	p, err := loadPublication(ctx, r.admin, r.config.Publication, r.server.Version)
	switch {
	case err != nil:
	case !r.config.creates("publication"):
		err = r.checkPublication(p, tables)
	case p == nil:
		err = r.mayPublish(tables)
	}
	if err != nil {
		out = append(out, r.config.finding(codePublication, "publication", err))
	}
	if p != nil && p.AllTables {
		out = append(out, spec.Finding{Severity: spec.Warning, Code: codePublication, Attr: "publication",
			Summary: fmt.Sprintf("publication %s is FOR ALL TABLES", r.config.Publication),
			Detail:  "nobody can update or delete in a table without a replica identity",
			Fix:     "name the tables instead"})
	}
	s, err := loadSlot(ctx, r.admin, r.config.Slot)
	switch {
	case err != nil:
	case s != nil:
		err = s.refuse(r.config, r.server.Database)
	case !r.config.creates("slot"):
		err = r.config.missingSlot()
	}
	if err != nil {
		out = append(out, r.config.finding(codeSlot, "slot", err))
	}
	if s != nil && s.Active {
		out = append(out, spec.Finding{Severity: spec.Info, Code: codeSlot, Attr: "slot",
			Summary: fmt.Sprintf("slot %s is in use by the process with pid %s", r.config.Slot, s.PID)})
	}
	if s != nil && s.WALStatus == "unreserved" {
		out = append(out, spec.Finding{Severity: spec.Warning, Code: codeSlot, Attr: "slot",
			Summary: fmt.Sprintf("slot %s is about to be lost", r.config.Slot),
			Fix:     "raise max_slot_wal_keep_size, or read faster"})
	}
	return out
}

// Tables lists the tables of the database, taken or not.
func (c *Config) Tables(ctx context.Context, env spec.Env) ([]spec.TableInfo, error) {
	list, err := c.list(ctx, env)
	if err != nil {
		err = (&Source{config: c, env: env}).named(c.classified(err))
	}
	return list, err
}

func (c *Config) list(ctx context.Context, env spec.Env) ([]spec.TableInfo, error) {
	r, err := newRunner(&Source{config: c, env: env})
	if err != nil {
		return nil, err
	}
	defer r.close()
	if r.admin, err = c.connect(ctx); err != nil {
		return nil, err
	}
	if r.catalog, err = loadCatalog(ctx, r.admin, nil); err != nil {
		return nil, err
	}
	var out []spec.TableInfo
	for _, p := range r.settings.picker.pick(r.catalog) {
		set := tableSettings{}
		if p.Taken {
			set = r.settings.of(r.catalog.Database, p.relation)
		}
		schema, err := r.catalog.schema(p.relation, set)
		if err != nil {
			return nil, &pipeline.Error{Class: pipeline.Input, Table: p.String(), Err: err}
		}
		out = append(out, spec.TableInfo{Schema: schema, Taken: p.Taken, Why: p.Why, Snapshot: set.Policy,
			Rows:  p.Rows,
			Bytes: p.Bytes, Omitted: set.Omit, Identity: p.IdentityText()})
	}
	return out, nil
}
