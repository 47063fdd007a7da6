package postgres

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
	policyWhenNeeded = "when_needed" // as initial, and again where the position in the stream is lost
	policyAlways     = "always"      // rows at every start, beside the stream
)

// Config is the block source "postgres". Its zero value is described by Spec.
type Config struct {
	Connection
	Slot           string
	Publication    string
	Create         []string // "slot", "publication", "tracker"
	Include        []string // tables
	Exclude        []string
	TableBlocks    []*TableConfig
	Snapshot       string
	Workers        int
	ChunkRows      int
	Streaming      string // "auto", "on", "off"
	Binary         string // "auto", "on", "off"
	Spill          spec.Bytes
	StatusInterval time.Duration
	Heartbeat      time.Duration // 0: none
	SlotTimeout    time.Duration
	Standby        time.Duration
	Messages       []string // prefixes of logical messages to deliver
	Rewrites       string   // "stop", "ignore"
	Tracker        string   // "schema.table"; "": none
	TrackerServer  string   // "": the pipeline's name

	liveRows  int  // of a chunk read beside the stream, at most; 0: as it finds best
	liveByKey bool // read by key beside the stream also where places will do
}

// TableConfig is a nested block table "pattern".
type TableConfig = snapshot.TableBlock

// The bounds of numbers in the configuration.
const (
	maxWorkers     = 64
	maxChunkRows   = 100_000_000
	maxStatus      = 5 * time.Minute
	defaultSpill   = 16 << 20
	defaultChunk   = 50_000
	defaultWorkers = 2
)

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Reads a PostgreSQL database (10 or later): the rows that are there, then every change through a " +
		"logical replication slot.")
	b.Connection("postgres", &c.Connection)
	spec.Attr(b, "slot", &c.Slot).Required().Example(`"pipe_shop"`).
		Doc("Name of the replication slot: lower case letters, digits and underscores, at most 63.")
	spec.Attr(b, "publication", &c.Publication).Required().Example(`"pipe_shop"`).
		Doc("Name of the publication that the slot reads; the same characters.")
	spec.Attr(b, "create", &c.Create).OneOf("slot", "publication", "tracker").Example(`["slot", "publication"]`).
		Doc("What may be created, and in the case of the publication altered, where it is missing or differs.")
	spec.Attr(b, "tables", &c.Include).Required().Example(`["public.*", "billing.invoices"]`).
		Doc("Patterns of the tables to read.")
	spec.Attr(b, "exclude", &c.Exclude).Doc("Patterns of tables to leave out although tables names them.")
	policy := spec.Attr(b, "snapshot", &c.Snapshot).
		OneOf(policyInitial, policyNever, policyOnly, policyWhenNeeded, policyAlways).
		Doc("initial: the rows that are there once, then changes. never: changes alone. only: the rows, then " +
			"the run ends; such a table that is added to a stream is read in the order of its key, not as of one " +
			"moment. when_needed: as initial, and once more, beside the stream, where the position in the " +
			"stream is lost (slot gone, server replaced or restored). always: as initial, and beside the stream " +
			"at every start.")
	spec.Default(policy, &c.Snapshot, policyInitial)
	workers := spec.Attr(b, "workers", &c.Workers).Range(1, maxWorkers).
		Doc("Connections that read a snapshot at once.")
	spec.Default(workers, &c.Workers, defaultWorkers)
	chunk := spec.Attr(b, "chunk_rows", &c.ChunkRows).Range(1, maxChunkRows).
		Doc("Rows of a snapshot read in one piece, about.")
	spec.Default(chunk, &c.ChunkRows, defaultChunk)
	c.streamSpec(b)
	c.trackerSpec(b)
	spec.Blocks(b, "table", []string{"pattern"}, &c.TableBlocks, tableSpec)
	b.Check(c.check)
	b.Example = example
}

// streamSpec describes the attributes about the stream.
func (c *Config) streamSpec(b *spec.Block) {
	streaming := spec.Attr(b, "streaming", &c.Streaming).OneOf("auto", "on", "off").
		Doc("Whether the server may send large transactions before they commit (PostgreSQL 14 or later). They " +
			"are held here until they do.")
	spec.Default(streaming, &c.Streaming, "auto")
	binary := spec.Attr(b, "binary", &c.Binary).OneOf("auto", "on", "off").
		Doc("Whether values come in binary form (PostgreSQL 14 or later), which is faster. auto: where every " +
			"column has a type that allows it.")
	spec.Default(binary, &c.Binary, "auto")
	spill := spec.Attr(b, "spill", &c.Spill).Range(1<<20, 1<<40).
		Doc("Memory for transactions that are being streamed; what exceeds it waits in files in the state " +
			"directory.")
	spec.Default(spill, &c.Spill, defaultSpill)
	status := spec.Attr(b, "status_interval", &c.StatusInterval).
		Range(int64(100*time.Millisecond), int64(maxStatus)).
		Doc("How often the server is told what is saved. It must be well below wal_sender_timeout.")
	spec.Default(status, &c.StatusInterval, 10*time.Second)
	spec.Attr(b, "heartbeat", &c.Heartbeat).Range(0, int64(24*time.Hour)).
		Doc("Writes a logical message this often, for databases that are quiet for longer than WAL may be kept. " +
			"Off unless given; idle slots advance without it.")
	slot := spec.Attr(b, "slot_timeout", &c.SlotTimeout).Range(int64(time.Second), int64(24*time.Hour)).
		Doc("How long creating the slot may wait for transactions that were open before.")
	spec.Default(slot, &c.SlotTimeout, time.Minute)
	standby := spec.Attr(b, "standby", &c.Standby).Range(0, int64(24*time.Hour)).
		Doc("How long to wait for a slot that another process uses, before the run fails (and is tried again).")
	spec.Default(standby, &c.Standby, 30*time.Second)
	rewrites := spec.Attr(b, "rewrites", &c.Rewrites).OneOf(rewritesStop, rewritesIgnore).
		Doc("What to do about a table that was rewritten (its column's type changed, or dropped and made anew), " +
			"whose new values the server does not send. stop: until there is a new snapshot. ignore: go on.")
	spec.Default(rewrites, &c.Rewrites, rewritesStop)
	spec.Attr(b, "messages", &c.Messages).Example(`["app"]`).
		Doc("Prefixes of logical messages (pg_logical_emit_message) to deliver. Any login role may write one.")
}

// tableSpec describes the nested block table.
func tableSpec(b *spec.Block, t *TableConfig, labels []string) {
	t.Pattern = labels[0]
	b.Doc("Settings for the tables that the pattern names. The first block that matches wins; an exact name " +
		"wins over a pattern.")
	spec.Attr(b, "where", &t.Where).Example(`row.amount > 100`).
		Doc("Rows to read, in snapshot and stream. An update whose old row was in and whose new is not becomes " +
			"a delete.")
	spec.Attr(b, "omit", &t.Omit).Doc("Columns to leave out.")
	spec.Attr(b, "key", &t.Key).
		Doc("Columns that identify a row; without it the replica identity index's or the primary key's.")
	spec.Attr(b, "snapshot", &t.Snapshot).
		OneOf(policyInitial, policyNever, policyOnly, policyWhenNeeded, policyAlways).
		Doc("As the source's, for these tables.")
	spec.Attr(b, "chunk_rows", &t.ChunkRows).Range(1, maxChunkRows).Doc("As the source's, for these tables.")
	spec.Attr(b, "workers", &t.Workers).Range(1, maxWorkers).
		Doc("At most this many of the source's workers read these tables at once.")
	spec.Attr(b, "chunk_by", &t.ChunkBy).Doc("Column to cut the snapshot by, instead of the key.")
}

const example = `source "postgres" "shop" {
  dsn         = env("DATABASE_URL")
  slot        = "pipe_shop"
  publication = "pipe_shop"
  create      = ["slot", "publication"]

  tables  = ["public.*"]
  exclude = ["public.schema_migrations"]

  table "public.customers" {
    omit = ["password_hash"]
  }
}
`
