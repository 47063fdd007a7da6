package postgres

import (
	"context"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The ways to write a first load.
const (
	methodCopy   = "copy"
	methodUpsert = "upsert"
)

// maxLoadWorkers bounds the sessions that finish loads.
const maxLoadWorkers = 32

// Load is the block load of sink "postgres": how a table that the sink makes takes its first rows.
type Load struct {
	Method       string
	Unlogged     bool
	DeferIndexes bool
	Workers      int

	late bool // the table is made among changes while a snapshot is open: indexes wait for its end
}

// describe describes the block.
func (l *Load) describe(b *spec.Block) {
	b.Doc("How tables that the sink makes are filled by a snapshot. Such a table gets the source's primary key and" +
		" secondary indexes (with the table's name before theirs where that is taken; FULLTEXT, SPATIAL and those on a" +
		" prefix, an expression or a part of the rows are not made). What is put off is done before the" +
		" first change after the snapshot is written: SET LOGGED, the primary key, the indexes, ANALYZE, each in" +
		" a transaction of its own and taken up again after a crash. Tables that exist already stay as they are.")
	a := spec.Attr(b, "method", &l.Method).OneOf(methodCopy, methodUpsert).
		Doc("copy writes rows straight into the empty table; upsert writes them as changes, for comparison.")
	spec.Default(a, &l.Method, methodCopy)
	a = spec.Attr(b, "unlogged", &l.Unlogged).
		Doc("Keep the table out of the server's log until it is loaded. A crash of the server then empties it and it" +
			" is loaded again; standbys see nothing of it before. Off, because SET LOGGED writes the table a second" +
			" time: with a million rows, a key and two indexes it reached 0.7 to 0.8 of the rate without.")
	spec.Default(a, &l.Unlogged, false)
	a = spec.Attr(b, "defer_indexes", &l.DeferIndexes).Doc("Make the primary key and the indexes after the" +
		" rows: with a million rows and two indexes 1.3 times the rate where keys come in their order, 1.8 times where" +
		" they do not.")
	spec.Default(a, &l.DeferIndexes, true)
	a = spec.Attr(b, "workers", &l.Workers).Range(1, maxLoadWorkers).
		Doc("How many sessions make keys and indexes side by side, of one table and of several, each with the server's" +
			" maintenance_work_mem. The server may use more processes for each (max_parallel_maintenance_workers).")
	spec.Default(a, &l.Workers, 4)
}

// chunkPrefix begins the local names of the streams of snapshots (snapshot.Chunk.Stream); all others
// are streams of changes, which begin when the snapshot is complete.
const chunkPrefix = "chunk/"

func isChunk(stream pipeline.Stream) bool {
	local, ok := stream.Local(stream.Address())
	return ok && strings.HasPrefix(string(local), chunkPrefix)
}

// bulk returns how a target is loaded that is made for a row of a stream; nil: as any other table.
// A table of several sources is never loaded this way: one may stream while the other still loads. A table
// whose rows come among changes has its key from the start, and its indexes unless a snapshot is open.
func (b *binder) bulk(stream pipeline.Stream, r *pipeline.Row) *Load {
	l := b.cfg.Load
	if l == nil || b.cfg.Merge {
		return nil
	}
	now := &Load{Method: l.Method, late: b.filling(stream)}
	if l.Method == methodUpsert || !isChunk(stream) || !loads(r) {
		return now
	}
	if s := b.settlements[stream.Address()]; s != nil {
		if s.began.Load() { // its changes have begun: the table must be able to take them
			return now
		}
		s.looked.Store(false)
	}
	return l
}

// steps returns what is left to be done to a table once it is loaded, and the indexes to make with it. key
// is the name of the key's index.
func (b *binder) steps(n name, source string, l *Load, s *pipeline.Schema, key string, indexes []step) []step {
	var out []step
	add := func(st step) {
		st.Target, st.Ordinal, st.Source = n, len(out)+1, source
		out = append(out, st)
	}
	if l.Unlogged {
		add(step{Verb: stepLogged})
	}
	if l.DeferIndexes && len(s.Key) > 0 && b.cfg.Write == writeUpsert {
		add(step{Verb: stepKeyIndex, Columns: columnList(s, s.Key), Index: key})
		add(step{Verb: stepKey, Columns: columnList(s, s.Key), Index: key})
	}
	for _, st := range indexes {
		if l.DeferIndexes || l.late {
			add(st)
		}
	}
	add(step{Verb: stepAnalyze})
	return out
}

func columnList(s *pipeline.Schema, columns []int) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = ident(s.Columns[c].Name)
	}
	return strings.Join(names, ", ")
}

// makeBulk makes a table for a load, and in the same transaction records what is left to be done to it.
func (b *binder) makeBulk(ctx context.Context, n name, source string, l *Load, s *pipeline.Schema) error {
	kind := "TABLE"
	if l.Unlogged {
		kind = "UNLOGGED TABLE"
	}
	defs, err := b.tableDefs(ctx, b.admin, s, !l.DeferIndexes)
	if err != nil {
		return err
	}
	made, sql := false, "CREATE "+kind+" "+n.sql()+" ("+strings.Join(defs, ", ")+"); "+b.state.madeSQL(n)+"; "
	for tries := 1; ; tries++ {
		taken, err := b.takenNames(ctx, n.schema)
		if err != nil {
			return err
		}
		taken[n.table] = true
		made, err = b.createOnce(ctx, b.admin, n, sql+b.indexSQL(n, source, l, s, taken))
		if err == nil {
			break
		}
		if !nameTaken(err) || tries == claimTries { // else another table's index has got it meanwhile
			return err
		}
	}
	if made {
		b.log.Info("a table is made for its load", "table", n.String(), "unlogged", l.Unlogged, "defer_indexes",
			l.DeferIndexes)
		b.tell(n, s, true)
	}
	return nil
}

// indexSQL makes a new table's indexes, or records that they are to be made, with the other steps.
func (b *binder) indexSQL(n name, source string, l *Load, s *pipeline.Schema, taken map[string]bool) string {
	var sql strings.Builder
	key := keyName(n, taken)
	indexes := b.indexes(n, s, taken)
	for _, x := range indexes {
		if !l.DeferIndexes && !l.late {
			sql.WriteString(x.sql() + "; ")
		}
	}
	return sql.String() + b.state.planSQL(n, b.steps(n, source, l, s, key, indexes))
}
