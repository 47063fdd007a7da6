package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestMoved renames a source and its sink, wherever the positions are kept: both go on where they were, and
// what is known of the tables goes with them. The sink appends: a row that came twice would show.
func TestMoved(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	for name, state := range map[string]string{"file": stateInFile, "sink": stateInSink, "postgres": stateInTarget} {
		t.Run(name, func(t *testing.T) { renamed(t, newScene(t, pg), state) })
	}
}

func renamed(t *testing.T, s *scene, state string) {
	history := replaced(t, toCopy, "  from = source.shop\n", "  from = source.shop\n  write = \"append\"\n  deletes = \"ignore\"\n")
	before := state + fromItems + history
	after := strings.NewReplacer(`"shop"`, `"store"`, "source.shop", "source.store", `"copy"`, `"archive"`,
		"sink.copy", "sink.archive").Replace(before)
	moves := "\nmoved {\n  from = source.shop\n  to   = source.store\n}\nmoved {\n  from = sink.copy\n  to   = sink.archive\n}\n"
	pipetest.Exec(t, s.target, "CREATE TABLE items (id int, v text)")
	s.insert(t, 1, 5)
	s.runs(t, "run", "--until-caught-up", s.file(t, "run.hcl", before))
	s.insert(t, 6, 10)
	file := s.file(t, "run.hcl", after+moves)
	for range 2 { // the blocks may stay
		s.runs(t, "run", "--until-caught-up", file)
		s.equal(t)
	}
	if l := s.ledger(t, file); len(l) != 1 || l["source.store public.items"] != snapshot.ForInitial {
		t.Errorf("known of the tables: %v", l)
	}
	n := queryCount(t, s.target, "SELECT count(*) FROM pipe.checkpoint WHERE stream LIKE 'source.shop%' OR sink = 'sink.copy'")
	if n != 0 {
		t.Errorf("%d positions stand under the old names", n)
	}

	pipetest.Exec(t, s.source, "CREATE TABLE extra (id int PRIMARY KEY)", "INSERT INTO extra VALUES (1)")
	pipetest.Exec(t, s.target, "CREATE TABLE extra (id int)")
	s.insert(t, 11, 15)
	s.runs(t, "run", "--until-caught-up", s.file(t, "run.hcl", after)) // they have done their work, and may go
	s.equal(t)
	if l := s.ledger(t, file); l["source.store public.extra"] != snapshot.ForAdded || l["source.store public.items"] != snapshot.ForInitial {
		t.Errorf("known of the tables: %v", l)
	}
	if n := queryCount(t, s.target, "SELECT count(*) FROM extra"); n != 1 {
		t.Errorf("%d rows of a table that was added after the move", n)
	}
}

// ledger returns why each table was read last, by the source's address and its name.
func (s *scene) ledger(t *testing.T, file string) map[string]snapshot.Reason {
	t.Helper()
	var got struct {
		Result []struct {
			Source string          `json:"source"`
			Table  string          `json:"table"`
			Reason snapshot.Reason `json:"reason"`
		} `json:"result"`
	}
	text := s.runs(t, "snapshot", "--status", "--json", file).out.String()
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out := map[string]snapshot.Reason{}
	for _, r := range got.Result {
		out[r.Source+" "+r.Table] = r.Reason
	}
	return out
}
