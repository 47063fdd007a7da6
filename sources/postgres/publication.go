package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// publication is a publication as the catalogue shows it.
type publication struct {
	AllTables bool
	ViaRoot   bool
	Filtered  bool     // some table has a row filter
	Tables    []string // as published: namespace, zero byte, name
	Direct    []uint32 // tables named in it
}

// loadPublication returns the publication of that name, nil where there is none.
func loadPublication(ctx context.Context, conn *pgconn.PgConn, name string, version int) (*publication, error) {
	row, err := queryRow(ctx, conn, "read the publication", `SELECT puballtables, to_jsonb(p)->>'pubviaroot', EXISTS (
		SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND to_jsonb(r)->>'prqual' IS NOT NULL)
		FROM pg_catalog.pg_publication p WHERE pubname = `+quoteLiteral(name))
	if err != nil || row == nil {
		return nil, err
	}
	p := &publication{AllTables: row[0] == "t", ViaRoot: row[1] == "true", Filtered: row[2] == "t"}
	err = eachRow(ctx, conn, "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables "+
		"WHERE pubname = "+quoteLiteral(name),
		nil, func(f *fields) { p.Tables = append(p.Tables, f.text()+"\x00"+f.text()) })
	if err != nil {
		return nil, errQuery("read the publication", err)
	}
	err = eachRow(ctx, conn, `SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p
		ON p.oid = r.prpubid WHERE pubname = `+quoteLiteral(name), nil, func(f *fields) { p.Direct = append(p.Direct, f.oid()) })
	return p, errQuery("read the publication", err)
}

func (p *publication) has(t *table) bool {
	return slices.Contains(p.Tables, t.Namespace+"\x00"+t.Name)
}

// publish sees to it that the publication has the tables, creating or altering it where allowed.
func (r *runner) publish(ctx context.Context, tables []*table) error {
	p, err := loadPublication(ctx, r.admin, r.config.Publication, r.server.Version)
	if err != nil {
		return err
	}
	if p == nil && r.config.creates("publication") && r.env.DryRun {
		r.env.Log.Warn("the publication does not exist and a dry run makes none: the rows that are there are "+
			"shown, no changes",
			"publication", r.config.Publication)
		r.unpublished, r.tables = true, withoutPolicy(r.tables, policyNever)
		return nil
	}
	if !r.config.creates("publication") || r.env.DryRun {
		return r.checkPublication(p, tables)
	}
	if p == nil {
		return r.createPublication(ctx, tables)
	}
	if p.AllTables {
		r.env.Log.Warn("the publication is FOR ALL TABLES: tables without a replica identity cannot be updated "+
			"by anybody",
			"publication", r.config.Publication)
		return r.checkPublication(p, tables)
	}
	if r.agrees(p, tables) {
		return nil
	}
	return r.alterPublication(ctx, p, tables)
}

// agrees reports whether the publication is what publish would make.
func (r *runner) agrees(p *publication, tables []*table) bool {
	if len(p.Direct) != len(tables) || p.Filtered {
		return false
	}
	for _, t := range tables {
		if !slices.Contains(p.Direct, t.OID) || !p.has(t) || r.pushed(t) != "" {
			return false
		}
	}
	return true
}

func (r *runner) createPublication(ctx context.Context, tables []*table) error {
	r.env.Log.Info("creating the publication", "publication", r.config.Publication, "tables", len(tables))
	return execute(ctx, r.admin, "create the publication", r.createPublicationSQL(tables))
}

func (r *runner) createPublicationSQL(tables []*table) string {
	sql := "CREATE PUBLICATION " + quoteName(r.config.Publication) + " FOR TABLE " + r.members(tables)
	if r.server.Version >= version13 {
		sql += " WITH (publish_via_partition_root = true)"
	}
	return sql
}

// alterPublication never drops it: a slot decodes with the catalogue of the time, in which a
// publication made anew does not exist yet.
func (r *runner) alterPublication(ctx context.Context, p *publication, tables []*table) error {
	for _, t := range tables {
		if !slices.Contains(p.Direct, t.OID) {
			r.env.Log.Info("adding a table to the publication", "publication", r.config.Publication, "table", t.String())
		}
	}
	return execute(ctx, r.admin, "alter the publication", r.alterPublicationSQL(p, tables))
}

func (r *runner) alterPublicationSQL(p *publication, tables []*table) string {
	name := quoteName(r.config.Publication)
	sql := "ALTER PUBLICATION " + name + " SET TABLE " + r.members(tables)
	if r.server.Version >= version13 && !p.ViaRoot {
		sql = "ALTER PUBLICATION " + name + " SET (publish_via_partition_root = true); " + sql
	}
	return sql
}

func (r *runner) members(tables []*table) string {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.Quoted())
		if where := r.pushed(t); where != "" {
			b.WriteString(" WHERE (" + where + ")")
		}
	}
	return b.String()
}

// checkPublication compares a publication that must not be changed with what is wanted.
func (r *runner) checkPublication(p *publication, tables []*table) error {
	name := r.config.Publication
	if p == nil {
		hint := fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s (before the slot)", quoteName(name),
			r.members(tables))
		return failed(pipeline.Environment, hint, "publication %s does not exist", name)
	}
	var missing []string
	for _, t := range tables {
		if p.has(t) {
			continue
		}
		if t.Kind == kindPartitioned && !p.ViaRoot && slices.Contains(p.Direct, t.OID) {
			return failed(pipeline.Environment, fmt.Sprintf("ALTER PUBLICATION %s SET "+
				"(publish_via_partition_root = true)", quoteName(name)),
				"publication %s publishes the partitions of %s under their own names", name, t)
		}
		missing = append(missing, t.Quoted())
	}
	if len(missing) == 0 {
		return nil
	}
	return failed(pipeline.Environment, fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s, or exclude them",
		quoteName(name), strings.Join(missing, ", ")),
		"publication %s lacks %d of the tables", name, len(missing))
}

// pushed is the table's where as the publication's row filter, "" where there is none or the server
// or PostgreSQL's rules for row filters do not allow it: then the filter runs here only.
func (r *runner) pushed(t *table) string {
	if t.filter == nil || r.server.Version < version15 {
		return ""
	}
	return publicationFilter(t)
}
