package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// sharing is an attempt that two sinks write: the leader's and a helper's.
type sharing struct {
	attempt snapshot.Attempt
	schema  *pipeline.Schema
	lead    *Sink
	help    *Sink
}

func startSharing(t *testing.T, dsn, text string) *sharing {
	t.Helper()
	a, _ := snapshot.Attempt{ID: "1A-0", Streams: 4}.Share(4)
	s := &sharing{attempt: a, schema: tableOf("items", col("id", "bigint", pipeline.Int), col("v", "text", pipeline.Text))}
	s.lead = start(t, configure(t, dsn, text))
	mustWrite(t, s.lead, s.at(a))
	s.help = assist(t, configure(t, dsn, text))
	return s
}

// assist opens a sink that helps.
func assist(t *testing.T, c *Config) *Sink {
	t.Helper()
	s, err := c.Open(t.Context(), env())
	if err != nil {
		t.Fatal(err)
	}
	s.(pipeline.Assistant).Assist()
	if cp, err := s.(pipeline.Keeper).Checkpoint(t.Context()); err != nil || len(cp) > 0 {
		t.Fatal(cp, err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*Sink)
}

// at is the mark of the attempt.
func (s *sharing) at(a snapshot.Attempt) *pipeline.Batch {
	b := &pipeline.Batch{Stream: snapshot.AttemptStream.In("source.test")}
	b.Mark(a.Position())
	return b
}

// rows are those of a chunk, ten keys from 10 times its number on.
func (s *sharing) rows(chunk int) *pipeline.Batch {
	b := &pipeline.Batch{Stream: s.attempt.Stream(chunk).In("source.test")}
	tx := &pipeline.Tx{Snapshot: true, Pos: snapshot.Reached(0)}
	for i := range 10 {
		r := b.Add()
		r.Schema, r.Tx, r.Op, r.Seq = s.schema, tx, pipeline.Read, uint32(i)
		r.Values = []pipeline.Value{pipeline.IntValue(int64(10*chunk + i)), pipeline.StringValue(pipeline.Text, "v")}
	}
	return b
}

// end is the mark of a chunk.
func (s *sharing) end(chunk int) *pipeline.Batch {
	b := &pipeline.Batch{Stream: s.attempt.Stream(chunk).In("source.test")}
	b.Mark(snapshot.Reached(1))
	return b
}

// sharingLoads are the ways to write a first load; without a key a row that is written twice is there twice.
func sharingLoads() []string { return []string{"load {}", "load {\n unlogged = true\n}", ""} }

// TestShareOnce: a chunk that two processes write, one after the other, is there once, whoever was first.
func TestShareOnce(t *testing.T) {
	for _, load := range sharingLoads() {
		dsn := pg.Database(t)
		s := startSharing(t, dsn, load)
		mustWrite(t, s.help, s.rows(0), s.end(0), s.rows(1), s.end(1))
		mustWrite(t, s.lead, s.rows(2), s.end(2), s.rows(1), s.end(1), s.rows(0), s.end(0))
		mustWrite(t, s.help, s.rows(2), s.end(2))
		wantQuery(t, dsn, "SELECT count(*), count(DISTINCT id) FROM items", "30|30")
	}
}

// TestShareAtOnce: both are in the middle of the same chunk.
func TestShareAtOnce(t *testing.T) {
	for _, load := range sharingLoads() {
		for _, helperFirst := range []bool{true, false} {
			dsn := pg.Database(t)
			s := startSharing(t, dsn, load)
			first, second := s.help, s.lead
			if !helperFirst {
				first, second = second, first
			}
			mustWrite(t, first, s.rows(0))
			done := make(chan error, 1)
			go func() { // waits for the other's keys, where there are keys
				err := second.Write(t.Context(), s.rows(0))
				if err == nil {
					err = second.Write(t.Context(), s.end(0))
				}
				done <- err
			}()
			time.Sleep(50 * time.Millisecond)
			mustWrite(t, first, s.end(0))
			if err := <-done; err != nil {
				t.Fatalf("%q, helper first %v: %v", load, helperFirst, err)
			}
			mustWrite(t, second, s.rows(3), s.end(3)) // it goes on
			wantQuery(t, dsn, "SELECT count(*), count(DISTINCT id) FROM items", "20|20")
		}
	}
}

// TestShareClosed: once the leader has all chunks, a helper that was held up in one cannot commit, also
// where the position of the chunk is forgotten.
func TestShareClosed(t *testing.T) {
	for _, load := range sharingLoads() {
		dsn := pg.Database(t)
		s := startSharing(t, dsn, load)
		mustWrite(t, s.lead, s.rows(0), s.end(0))
		mustWrite(t, s.help, s.rows(1))
		closed := s.attempt
		closed.Closed = true
		forget := &pipeline.Batch{Stream: s.attempt.Stream(1).In("source.test")}
		forget.Mark("")
		mustWrite(t, s.lead, s.at(closed), forget)
		if err := s.help.Write(t.Context(), s.end(1)); !errors.Is(err, pipeline.ErrFenced) {
			t.Errorf("%q: %v", load, err)
		}
		wantQuery(t, dsn, "SELECT count(*), count(DISTINCT id) FROM items", "10|10")
	}
}

// TestShareFenced: a helper of a leader that was replaced cannot commit.
func TestShareFenced(t *testing.T) {
	dsn := pg.Database(t)
	s := startSharing(t, dsn, "load {}")
	mustWrite(t, s.help, s.rows(0), s.end(0), s.rows(1))
	next, err := configure(t, dsn, "load {}").Open(t.Context(), env())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	cp, err := next.(pipeline.Keeper).Checkpoint(t.Context())
	if err != nil || cp[s.attempt.Stream(0).In("source.test")] != snapshot.Reached(1) {
		t.Fatalf("%v, %v: the new leader has to know what a helper wrote", cp, err)
	}
	if err := s.help.Write(t.Context(), s.end(1)); !errors.Is(err, pipeline.ErrFenced) {
		t.Error(err)
	}
}

// TestShareVolatile: what the leader's ledger says of an UNLOGGED table that a helper filled is lost with it.
func TestShareVolatile(t *testing.T) {
	for load, want := range map[string]string{"load {}": "checkpoint", "load {\n unlogged = true\n}": "checkpoint_unlogged"} {
		dsn := pg.Database(t)
		s := startSharing(t, dsn, load)
		mustWrite(t, s.help, s.rows(0), s.end(0))
		entry := &pipeline.Batch{Stream: snapshot.TableStream("public.items").In("source.test")}
		entry.Mark(`0000000000000001/{"status":"running"}`)
		mustWrite(t, s.lead, entry)
		wantQuery(t, dsn, "SELECT 'checkpoint' FROM pipe.checkpoint WHERE stream LIKE '%/table/%' UNION ALL"+
			" SELECT 'checkpoint_unlogged' FROM pipe.checkpoint_unlogged WHERE stream LIKE '%/table/%'", want)
	}
}
