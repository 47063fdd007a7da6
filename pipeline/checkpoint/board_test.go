package checkpoint

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

const boardSource = "source.shop"

// openShare puts up chunks of the sizes given, and returns the leader's boards.
func openShare(t *testing.T, p *Postgres, a snapshot.Attempt, rows ...int64) *Boards {
	t.Helper()
	b, err := p.Boards(t.Context(), "config", "leader")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	var chunks []snapshot.Chunk
	for i, n := range rows {
		chunks = append(chunks, snapshot.Chunk{Table: "public.a", Part: `public."a b"`, Ordinal: i, Rows: n,
			Range: snapshot.Range{Cut: snapshot.ByKey, Low: []string{`"x\`, ""}}})
	}
	share := snapshot.Share{Attempt: a, Exported: "0-1", Taken: time.UnixMicro(1_700_000_000_000_001), Shape: "shape"}
	if err := b.Of(boardSource).Open(t.Context(), share, chunks, func(string) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	return b
}

// helper returns another process's boards, as of the share that is open.
func helper(t *testing.T, s Server, owner string) *Boards {
	t.Helper()
	b := NewBoards(s, "config", owner)
	t.Cleanup(func() { b.Close() })
	if found, err := b.Look(t.Context()); err != nil || found[boardSource] == "" {
		t.Fatalf("%v, %v", found, err)
	}
	return b
}

func TestBoardSharesOut(t *testing.T) {
	s := testServer(server.Database(t))
	a := snapshot.Attempt{ID: "1A-0", Streams: 3, Shared: true}
	p := openPostgres(t, s)
	lead := openShare(t, p, a, 10, 30, 20).Of(boardSource)
	help := helper(t, s, "helper").Of(boardSource)
	share, ok, err := help.Find(t.Context())
	want := snapshot.Share{Attempt: a, Exported: "0-1", Taken: time.UnixMicro(1_700_000_000_000_001), Shape: "shape"}
	if err != nil || !ok || !cmp.Equal(share, want) {
		t.Fatalf("%+v, %v, %v", share, ok, err)
	}
	first, ok, over, err := lead.Claim(t.Context(), a)
	if err != nil || !ok || over || first.Number != 1 || first.Chunk.Rows != 30 || first.Chunk.Range.Low[0] != `"x\` {
		t.Fatalf("%+v, %v, %v, %v: not the largest", first, ok, over, err)
	}
	second, _, _, _ := help.Claim(t.Context(), a)
	third, _, _, _ := help.Claim(t.Context(), a)
	if second.Number != 2 || third.Number != 0 {
		t.Fatalf("%d, %d", second.Number, third.Number)
	}
	if _, ok, over, err := help.Claim(t.Context(), a); ok || over || err != nil {
		t.Fatalf("%v, %v, %v: nothing is left, and not all is finished", ok, over, err)
	}
	mine, err := help.Finish(t.Context(), a, []snapshot.Finished{{Number: 0, Rows: 7}, {Number: 2, Rows: 8}})
	if err != nil || len(mine) != 2 {
		t.Fatalf("%v, %v", mine, err)
	}
	if again, err := lead.Finish(t.Context(), a, []snapshot.Finished{{Number: 0, Rows: 7}, {Number: 1}}); err != nil || len(again) != 1 {
		t.Errorf("%v, %v: a chunk was finished twice", again, err)
	}
	news, err := lead.News(t.Context(), a)
	if err != nil || len(news) != 2 || news[0].Table != "public.a" {
		t.Errorf("%v, %v: the leader has to hear of what others did, once", news, err)
	}
	if _, ok, over, err := help.Claim(t.Context(), a); ok || !over || err != nil {
		t.Errorf("%v, %v, %v: all is finished", ok, over, err)
	}
}

// TestBoardTakesOver: what a silent process has claimed is another one's after the lease, and not before.
func TestBoardTakesOver(t *testing.T) {
	s := testServer(server.Database(t))
	a := snapshot.Attempt{ID: "1A-0", Streams: 1, Shared: true}
	p := openPostgres(t, s)
	lead := openShare(t, p, a, 1).Of(boardSource)
	dead := helper(t, s, "dead").Of(boardSource)
	began := time.Now()
	if _, ok, _, err := dead.Claim(t.Context(), a); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for {
		if open, err := lead.Beat(t.Context(), a); !open || err != nil {
			t.Fatal(open, err)
		}
		_, ok, _, err := lead.Claim(t.Context(), a)
		if err != nil || time.Since(began) > 30*s.Lease {
			t.Fatalf("not taken over after %v: %v", time.Since(began), err)
		}
		if ok {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < lead.Lease() {
		t.Errorf("taken over after %v, the lease is %v", took, lead.Lease())
	}
}

// TestBoardFenced: with another owner of the pipeline everything of the old leader's share is over.
func TestBoardFenced(t *testing.T) {
	s := testServer(server.Database(t))
	a := snapshot.Attempt{ID: "1A-0", Streams: 2, Shared: true}
	p := openPostgres(t, s)
	lead := openShare(t, p, a, 1, 1).Of(boardSource)
	boards := helper(t, s, "helper")
	help := boards.Of(boardSource)
	if err := boards.Store().Save(t.Context(), pipeline.Checkpoint{"source.shop/chunk/1A-0/shared/000000": "1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	next := openPostgres(t, s)
	if _, ok, over, err := help.Claim(t.Context(), a); ok || !over || err != nil {
		t.Errorf("claim: %v, %v, %v", ok, over, err)
	}
	if open, err := help.Beat(t.Context(), a); open || err != nil {
		t.Errorf("beat: %v, %v", open, err)
	}
	if _, ok, err := help.Find(t.Context()); ok || err != nil {
		t.Errorf("find: %v, %v", ok, err)
	}
	if err := boards.Store().Save(t.Context(), pipeline.Checkpoint{"x": "1"}); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("a helper of the old leader saved: %v", err)
	}
	if err := lead.Open(t.Context(), snapshot.Share{Attempt: a}, nil, nil); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("the old leader opened a share: %v", err)
	}
	cp, err := next.Load(t.Context())
	if err != nil || len(cp) != 1 {
		t.Fatalf("%v, %v: the new leader has to know what helpers saved", cp, err)
	}
	b, err := next.Boards(t.Context(), "config", "next")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Of(boardSource).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := pipetest.QueryText(t, s.DSN, `SELECT count(*) FROM pipe.chunk UNION ALL SELECT count(*) FROM pipe.share
		UNION ALL SELECT count(*) FROM pipe.state`)
	if diff := cmp.Diff([][]string{{"0"}, {"0"}, {"0"}}, left); diff != "" {
		t.Error(diff)
	}
}

// TestBoardLimits: of a table with a limit no more are claimed at once, whoever claims, and what is given back
// is another's at once.
func TestBoardLimits(t *testing.T) {
	s := testServer(server.Database(t))
	a := snapshot.Attempt{ID: "1A-0", Streams: 4, Shared: true}
	p := openPostgres(t, s)
	boards := openShare(t, p, a)
	chunks := []snapshot.Chunk{{Table: "a", Rows: 9}, {Table: "a", Rows: 8}, {Table: "a", Rows: 7}, {Table: "b", Rows: 1}}
	lead := boards.Of(boardSource)
	most := func(table string) int { return map[string]int{"a": 2}[table] }
	if err := lead.Open(t.Context(), snapshot.Share{Attempt: a}, chunks, most); err != nil {
		t.Fatal(err)
	}
	help := helper(t, s, "helper").Of(boardSource)
	var numbers []int
	for _, b := range []snapshot.Board{lead, help, help} {
		c, ok, _, err := b.Claim(t.Context(), a)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		numbers = append(numbers, c.Number)
	}
	if diff := cmp.Diff([]int{0, 1, 3}, numbers); diff != "" {
		t.Error(diff)
	}
	if _, ok, over, err := lead.Claim(t.Context(), a); ok || over || err != nil {
		t.Errorf("%v, %v, %v: two of a are claimed", ok, over, err)
	}
	if err := help.Release(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if c, ok, _, err := lead.Claim(t.Context(), a); !ok || err != nil || c.Number != 1 {
		t.Errorf("%v, %v, %v: it was given back", c, ok, err)
	}
	all, err := lead.Recall(t.Context(), a)
	if err != nil || len(all) != 4 || all[3].Chunk.Table != "b" {
		t.Errorf("%v, %v", all, err)
	}
}
