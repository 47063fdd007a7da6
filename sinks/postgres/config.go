package postgres

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// What the attributes with options may be.
const (
	writeUpsert = "upsert"
	writeAppend = "append"

	deletesApply  = "apply"
	deletesIgnore = "ignore"
	deletesSoft   = "soft"

	changesAdd    = "add_columns"
	changesApply  = "apply"
	changesFail   = "fail"
	changesIgnore = "ignore"

	truncatesApply  = "apply"
	truncatesIgnore = "ignore"
	truncatesFail   = "fail"

	missingFail = "fail"
	missingSkip = "skip"
)

const (
	maxWorkers  = 64
	maxNameSize = 63 // bytes of an identifier that the server keeps (NAMEDATALEN - 1)
)

// Config is the block sink "postgres".
type Config struct {
	From          []spec.Ref
	DSN           spec.Secret
	Into          spec.Template
	CreateTables  bool
	Constraints   bool
	Write         string
	Deletes       string
	DeletedColumn string
	SchemaChanges string
	Truncates     string
	MissingRows   string
	Merge         bool
	Nul           string
	Workers       int
	SyncCommit    bool
	LockTimeout   time.Duration
	StmtTimeout   time.Duration
	StateSchema   string
	Load          *Load
}

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Writes rows into PostgreSQL tables, exactly once: the position is stored in the transaction that" +
		" writes the rows. Tables are created where they are missing.")
	b.Example = "sink \"postgres\" \"warehouse\" {\n  from = source.shop\n  dsn  = env(\"WAREHOUSE_DSN\")\n" +
		"  into = \"shop.${table.name}\"\n}\n"
	spec.Attr(b, "from", &c.From).Required().To("source", "transform").Doc("Where the rows come from.")
	b.Connection("postgres", (*connection)(c))
	spec.Attr(b, "into", &c.Into).Example(`"warehouse.${lower(table.name)}"`).
		Doc("The table to write to, as schema.table. Without it: the source's schema and name, or what a route chose.")
	c.specWrites(b)
	c.specServer(b)
	spec.Sub(b, "load", nil, &c.Load, func(b *spec.Block, l *Load, _ []string) { l.describe(b) })
	b.Check(c.check)
}

// connection is the part of the block that a connection block may give.
type connection Config

// Spec describes the attributes of a connection.
func (c *connection) Spec(b *spec.Block) {
	spec.Attr(b, "dsn", &c.DSN).Required().Sensitive().Example(`env("WAREHOUSE_DSN")`).
		Doc("The connection string, as a URL or as keywords and values. Several hosts may be given with" +
			" target_session_attrs=read-write, to follow a failover.")
}

func (c *Config) specWrites(b *spec.Block) {
	a := spec.Attr(b, "create_tables", &c.CreateTables).Doc("Create tables and schemas that do not exist, with the source's" +
		" primary key. Secondary indexes need a block load.")
	spec.Default(a, &c.CreateTables, true)
	a = spec.Attr(b, "constraints", &c.Constraints).
		Doc("Give tables that are created the source's NOT NULL, and its defaults where they are constants or the" +
			" present time. Where a row of the source is NULL all the same, because the source has dropped its NOT" +
			" NULL, the sink drops its own. Not with merge or write = \"append\".")
	spec.Default(a, &c.Constraints, true)
	a = spec.Attr(b, "write", &c.Write).OneOf(writeUpsert, writeAppend).
		Doc("upsert keeps each row's present state; append adds a row for every change.")
	spec.Default(a, &c.Write, writeUpsert)
	a = spec.Attr(b, "deletes", &c.Deletes).OneOf(deletesApply, deletesIgnore, deletesSoft).
		Doc("What a deleted row does: apply removes it, ignore keeps it, soft sets deleted_column.")
	spec.Default(a, &c.Deletes, deletesApply)
	a = spec.Attr(b, "deleted_column", &c.DeletedColumn).
		Doc("The boolean column that deletes = \"soft\" sets.")
	spec.Default(a, &c.DeletedColumn, "__deleted")
	a = spec.Attr(b, "schema_changes", &c.SchemaChanges).
		OneOf(changesAdd, changesApply, changesFail, changesIgnore).
		Doc("What a change of a source table does: add_columns adds missing columns, apply also widens types and" +
			" drops NOT NULL of tables that the sink did not make, fail stops, ignore leaves unknown columns out. Columns are never dropped.")
	spec.Default(a, &c.SchemaChanges, changesAdd)
	a = spec.Attr(b, "truncates", &c.Truncates).OneOf(truncatesApply, truncatesIgnore, truncatesFail).
		Doc("What a TRUNCATE of a source table does.")
	spec.Default(a, &c.Truncates, truncatesApply)
	a = spec.Attr(b, "missing_rows", &c.MissingRows).OneOf(missingFail, missingSkip).
		Doc("What an update does that came without some of its values (unchanged TOAST) for a row the target does" +
			" not have. skip is right while the table's snapshot is still being taken beside the stream.")
	spec.Default(a, &c.MissingRows, missingFail)
	spec.Attr(b, "merge", &c.Merge).Doc("Let several source tables be written to one table.")
	a = spec.Attr(b, "nul", &c.Nul).OneOf("fail", "strip", "replace").
		Doc("What a NUL byte in a text does, which PostgreSQL cannot hold. Bytes are never changed.")
	spec.Default(a, &c.Nul, "fail")
}

func (c *Config) specServer(b *spec.Block) {
	a := spec.Attr(b, "workers", &c.Workers).Range(1, maxWorkers).
		Doc("How many connections write snapshot chunks and streams side by side.")
	spec.Default(a, &c.Workers, 4)
	a = spec.Attr(b, "synchronous_commit", &c.SyncCommit).
		Doc("Wait until a commit is on disk. Without it a crash of the target's server may take the last commits" +
			" and their positions back, while the source has been told that they are safe: the pipeline then" +
			" refuses to go on.")
	spec.Default(a, &c.SyncCommit, true)
	a = spec.Attr(b, "lock_timeout", &c.LockTimeout).Range(0, int64(24*time.Hour)).
		Doc("How long a statement waits for a lock before the write is tried again; \"0s\" waits for ever.")
	spec.Default(a, &c.LockTimeout, time.Minute)
	a = spec.Attr(b, "statement_timeout", &c.StmtTimeout).Range(0, int64(24*time.Hour)).
		Doc("How long a statement may run; \"0s\" is no limit.")
	spec.Default(a, &c.StmtTimeout, 0)
	a = spec.Attr(b, "state_schema", &c.StateSchema).
		Doc("The schema of the tables that hold positions and the fence.")
	spec.Default(a, &c.StateSchema, "pipe")
}

func (c *Config) check(p *spec.Problems) {
	if c.Write == writeAppend && c.Deletes == deletesApply {
		p.Error("write", "A delete cannot be applied to a history",
			`write = "append" adds a row for every change. Set deletes = "ignore" to leave deletes out, or`+
				` deletes = "soft" to append a row with deleted_column = true.`)
	}
	for attr, name := range map[string]string{"state_schema": c.StateSchema,
		"deleted_column": c.DeletedColumn} {
		if name == "" || len(name) > maxNameSize || strings.IndexByte(name, 0) >= 0 {
			p.Error(attr, "Not a name", "A name has 1 to 63 bytes.")
		}
	}
	if _, err := pgconn.ParseConfig(c.DSN.Reveal()); err != nil {
		p.Error("dsn", "Not a connection string", `Write postgres://user:password@host:5432/database or`+
			` "host=... user=... password=... dbname=...".`)
	}
}

func (c *Config) nul() pgtext.Nul {
	switch c.Nul {
	case "strip":
		return pgtext.NulStrip
	case "replace":
		return pgtext.NulReplace
	}
	return pgtext.NulFail
}

// settings are what every connection sets: output forms as pipe expects them, and the limits.
func (c *Config) settings() string {
	commit := "on"
	if !c.SyncCommit {
		commit = "off"
	}
	return fmt.Sprintf("SET client_min_messages = warning; SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres;"+
		" SET timezone = 'UTC'; SET bytea_output = hex; SET extra_float_digits = 1; SET client_encoding = 'UTF8';"+
		" SET standard_conforming_strings = on; SET row_security = off; SET lock_timeout = %d;"+
		" SET statement_timeout = %d; SET idle_in_transaction_session_timeout = 0; SET synchronous_commit = %s;"+
		" SET default_transaction_isolation = 'read committed'",
		c.LockTimeout.Milliseconds(), c.StmtTimeout.Milliseconds(), commit)
}
