package mariadb

import (
	"time"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The snapshot policies.
const (
	policyInitial    = "initial"     // rows once, then the stream
	policyNever      = "never"       // the stream alone
	policyOnly       = "only"        // rows alone
	policyWhenNeeded = "when_needed" // as initial, and again where the position in the log was lost
	policyAlways     = "always"      // at every start
)

// The values of attributes that choose what becomes of a value.
const (
	asBool     = "bool"
	asInt      = "int"
	asTime     = "time"
	asInterval = "interval"
	asText     = "text"
	onFail     = "fail"
	onNull     = "null"
	onEpoch    = "epoch"
	onReplace  = "replace"
	onWarn     = "warn"
)

// Config is the block source "mariadb". Its zero value is described by Spec.
type Config struct {
	Connection
	ServerID    int // 0: a random one
	Include     []string
	Exclude     []string
	TableBlocks []*TableConfig
	Snapshot    string
	Workers     int
	ChunkRows   int
	TinyInt1    string // asInt, asBool
	Time        string // asTime, asInterval, asText
	ZeroDates   string // onFail, onNull, onEpoch
	InvalidText string // onFail, onReplace
	LossyDDL    string // onFail, onWarn
	Spill       spec.Bytes
	Heartbeat   time.Duration
}

// TableConfig is a nested block table "pattern".
type TableConfig = snapshot.TableBlock

// The bounds of numbers in the configuration.
const (
	maxWorkers       = 64
	maxChunkRows     = 100_000_000
	maxServerID      = 1<<32 - 1
	defaultSpill     = 64 << 20
	defaultChunk     = 50_000
	defaultWorkers   = 2
	defaultHeartbeat = 5 * time.Second
)

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Reads a MariaDB server (10.6 or later): the rows that are there, then every change from its binary log.")
	b.Connection("mariadb", &c.Connection)
	spec.Attr(b, "tables", &c.Include).Required().Example(`["shop.*", "billing.invoices"]`).
		Doc("Patterns of the tables to read: database.table.")
	spec.Attr(b, "exclude", &c.Exclude).Doc("Patterns of tables to leave out although tables names them.")
	policy := spec.Attr(b, "snapshot", &c.Snapshot).OneOf(policyInitial, policyNever, policyOnly, policyWhenNeeded, policyAlways).
		Doc("initial: the rows that are there once, then changes. never: changes alone. only: the rows, then the run ends. " +
			"when_needed: as initial, and again where the server does not have the changes since the saved position any more. " +
			"always: at every start, while changes are streamed.")
	spec.Default(policy, &c.Snapshot, policyInitial)
	workers := spec.Attr(b, "workers", &c.Workers).Range(1, maxWorkers).Doc("Connections that read a snapshot at once.")
	spec.Default(workers, &c.Workers, defaultWorkers)
	chunk := spec.Attr(b, "chunk_rows", &c.ChunkRows).Range(1, maxChunkRows).Doc("Rows of a snapshot read in one piece, about.")
	spec.Default(chunk, &c.ChunkRows, defaultChunk)
	c.streamSpec(b)
	c.valueSpec(b)
	spec.Blocks(b, "table", []string{"pattern"}, &c.TableBlocks, tableSpec)
	b.Check(c.check)
	b.Example = example
}

// streamSpec describes the attributes about the stream.
func (c *Config) streamSpec(b *spec.Block) {
	spec.Attr(b, "server_id", &c.ServerID).Range(1, maxServerID).
		Doc("The number that we have as a replica; it must differ from every server's and replica's. A random one without it.")
	lossy := spec.Attr(b, "lossy_ddl", &c.LossyDDL).OneOf(onFail, onWarn).
		Doc("What to do about a statement that changes rows of a table without saying which in the log: partitions dropped, " +
			"truncated or exchanged, a table renamed over it, statements logged as text.")
	spec.Default(lossy, &c.LossyDDL, onFail)
	spill := spec.Attr(b, "spill", &c.Spill).Range(1<<20, 1<<40).
		Doc("Memory for the rows of XA transactions that are prepared and not yet committed; rows beyond it go to files in the state directory.")
	spec.Default(spill, &c.Spill, defaultSpill)
	heart := spec.Attr(b, "heartbeat", &c.Heartbeat).Range(int64(100*time.Millisecond), int64(time.Hour)).
		Doc("How often the server says that it is alive while nothing changes; after six of these without a word the connection is lost.")
	spec.Default(heart, &c.Heartbeat, defaultHeartbeat)
}

// valueSpec describes the attributes about values.
func (c *Config) valueSpec(b *spec.Block) {
	tiny := spec.Attr(b, "tinyint1", &c.TinyInt1).OneOf(asInt, asBool).
		Doc("What a tinyint(1) is: a number, or a truth value (0 is false). bit(1) is a truth value in any case.")
	spec.Default(tiny, &c.TinyInt1, asInt)
	clock := spec.Attr(b, "time", &c.Time).OneOf(asTime, asInterval, asText).
		Doc("What a time is. time: a time of day; one below zero or beyond 24 hours comes as its text. interval, text: all of them.")
	spec.Default(clock, &c.Time, asTime)
	zero := spec.Attr(b, "zero_dates", &c.ZeroDates).OneOf(onFail, onNull, onEpoch).
		Doc("What becomes of 0000-00-00 and other dates that are none: an error, NULL, or 1970-01-01.")
	spec.Default(zero, &c.ZeroDates, onFail)
	invalid := spec.Attr(b, "invalid_text", &c.InvalidText).OneOf(onFail, onReplace).
		Doc("What becomes of bytes that are no text of their column's character set: an error, or U+FFFD for each.")
	spec.Default(invalid, &c.InvalidText, onFail)
}

// tableSpec describes the nested block table.
func tableSpec(b *spec.Block, t *TableConfig, labels []string) {
	t.Pattern = labels[0]
	b.Doc("Settings for the tables that the pattern names. The first block that matches wins; an exact name wins over a pattern.")
	spec.Attr(b, "where", &t.Where).Example(`row.amount > 100`).
		Doc("Rows to read, in snapshot and stream. An update whose old row was in and whose new is not becomes a delete.")
	spec.Attr(b, "omit", &t.Omit).Doc("Columns to leave out.")
	spec.Attr(b, "key", &t.Key).Doc("Columns that identify a row; without it the primary key's, or those of a unique index without NULL.")
	spec.Attr(b, "snapshot", &t.Snapshot).OneOf(policyInitial, policyNever, policyOnly, policyWhenNeeded, policyAlways).Doc("As the source's, for these tables.")
	spec.Attr(b, "chunk_rows", &t.ChunkRows).Range(1, maxChunkRows).Doc("As the source's, for these tables.")
	spec.Attr(b, "workers", &t.Workers).Range(1, maxWorkers).Doc("At most this many of the source's workers read these tables at once.")
	spec.Attr(b, "chunk_by", &t.ChunkBy).Doc("Column of whole numbers to cut the snapshot by, instead of the key's first; it should be indexed.")
}

const example = `source "mariadb" "shop" {
  dsn    = env("MARIADB_URL")
  tables = ["shop.*"]

  zero_dates = "null"
  tinyint1   = "bool"

  table "shop.customers" {
    omit = ["password_hash"]
  }
}
`
