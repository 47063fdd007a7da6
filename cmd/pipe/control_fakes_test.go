package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// runFake runs a runner until the test ends and returns a client of its socket.
func runFake(t *testing.T, r *runner) *control.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	c := control.Dial(controlSocket(r.config))
	eventually(t, "the pipeline is ready", func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Ready && s.Saves > 0
	})
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(faultPatience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", faultPatience, what)
		}
	}
}

func keyless(t spec.TableInfo) spec.TableInfo {
	s := *t.Schema
	s.Key = nil
	t.Schema = &s
	return t
}

func TestControlRequests(t *testing.T) {
	shop := newFakeSource(fakeTable("public", "orders", true), fakeTable("public", "items", true), fakeTable("audit", "log", false),
		keyless(fakeTable("heap", "bare", true)), keyless(fakeTable("heap", "naked", true)))
	other := newFakeSource(fakeTable("public", "orders", true), fakeTable("eu", "stock", true))
	r := fakeRunner(t.TempDir(), shop, other, [2]string{"postgres", "kafka"})
	c := runFake(t, r)

	cases := []struct {
		q    control.SnapshotRequest
		want []string // sources and tables
		says []string // of the refusal
	}{
		{control.SnapshotRequest{Tables: []string{"public.items"}}, []string{"source.shop public.items"}, nil},
		{control.SnapshotRequest{Tables: []string{"items"}}, []string{"source.shop public.items"}, nil},
		{control.SnapshotRequest{Tables: []string{"heap.*", "items"}, Source: "source.shop"}, []string{"source.shop public.items"}, nil},
		{control.SnapshotRequest{Tables: []string{"public.*"}, Source: "source.shop"}, []string{"source.shop public.items", "source.shop public.orders"}, nil},
		{control.SnapshotRequest{Tables: []string{"orders"}, Source: "source.other"}, []string{`source.other["eu"] public.orders`}, nil},
		{control.SnapshotRequest{Tables: []string{"items", "stock", "*.stock"}}, []string{`source.other["eu"] eu.stock`, "source.shop public.items"}, nil},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: `row.id > 3 && row.note != "x"`}, []string{"source.shop public.items"}, nil},
		{control.SnapshotRequest{Tables: []string{"items"}, Replace: true}, []string{"source.shop public.items"}, nil},

		{control.SnapshotRequest{Tables: []string{"bare"}}, nil, []string{"source.shop: heap.bare: it has no key", "primary key"}},
		{control.SnapshotRequest{Tables: []string{"items", "heap.bare"}}, nil, []string{"heap.bare: it has no key"}},
		{control.SnapshotRequest{Tables: []string{"heap.*"}}, nil, []string{"none of the 2 tables has a key"}},
		{control.SnapshotRequest{}, nil, []string{"0 tables are named"}},
		{control.SnapshotRequest{Tables: []string{"orders"}}, nil, []string{"public.orders is read by", "--source"}},
		{control.SnapshotRequest{Tables: []string{"public.itesm"}}, nil, []string{`did you mean "public.items"?`}},
		{control.SnapshotRequest{Tables: []string{"itesm"}}, nil, []string{`did you mean "items"?`}},
		{control.SnapshotRequest{Tables: []string{"items", "nothing"}}, nil, []string{`"nothing"`}},
		{control.SnapshotRequest{Tables: []string{"log"}}, nil, []string{"source.shop does not take table audit.log: exclude audit.*"}},
		{control.SnapshotRequest{Tables: []string{"a.b.c.d"}}, nil, []string{"4 parts"}},
		{control.SnapshotRequest{Tables: []string{"items"}, Source: "source.shpo"}, nil, []string{`did you mean "source.shop"?`}},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: "row.id >"}, nil, []string{"where: column"}},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: "row.idd > 1"}, nil, []string{"source.shop: public.items: where", "id"}},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: "row.id + 1"}, nil, []string{"Not a condition"}},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: "old.id > 1"}, nil, []string{"old"}},
		{control.SnapshotRequest{Tables: []string{"items"}, Where: "row.id > 1", Replace: true}, nil, []string{"exclude each other"}},
		{control.SnapshotRequest{Tables: []string{"stock"}, Replace: true}, nil, []string{"sink.events", "a kafka sink cannot delete"}},
	}
	for _, k := range cases {
		before := len(shop.asked) + len(other.asked)
		a, err := c.Snapshot(t.Context(), k.q)
		if len(k.says) > 0 {
			if pipeline.ClassOf(err) != pipeline.Input || len(shop.asked)+len(other.asked) != before {
				t.Errorf("%+v: %v, want a refusal", k.q, err)
				continue
			}
			for _, text := range k.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%+v: %v, want %q", k.q, err, text)
				}
			}
			continue
		}
		var got []string
		for _, x := range a.Tables {
			got = append(got, x.Source+" "+x.Table)
		}
		if diff := cmp.Diff(k.want, got); diff != "" || err != nil || len(shop.asked)+len(other.asked) != before+len(k.want) {
			t.Errorf("%+v: %s, %v", k.q, diff, err)
		}
	}
	q := shop.asked[len(shop.asked)-1]
	if q.Reason != snapshot.ForRequest || !q.Replace || q.Asked.IsZero() || q.Table != "public.items" {
		t.Errorf("asked for %+v", q)
	}
	if _, err := c.Cancel(t.Context(), control.CancelRequest{Tables: []string{"items", "stock"}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"public.items", "eu.stock"}, append(shop.gone, other.gone...)); diff != "" {
		t.Error(diff)
	}
}

// The socket and the counters outlive engines, and a request made while there is none waits for the next.
func TestControlOutlivesEngines(t *testing.T) {
	shop, other := newFakeSource(fakeTable("public", "orders", true)), newFakeSource()
	shop.fail = errLost
	r := fakeRunner(t.TempDir(), shop, other, [2]string{"postgres", "discard"})
	c := runFake(t, r)
	eventually(t, "it is begun again", func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Restarts == 1 && s.Ready && s.Sources[0].Batches == 6
	})
	s, err := c.Status(t.Context())
	if err != nil || s.Failure == nil || s.Failure.Node != "source.shop" || s.Failure.Message != "connection lost" {
		t.Errorf("%+v, %v", s.Failure, err)
	}
	if s.Sources[0].RetainedBytes != 7 || !s.Sources[0].Asks || s.Sinks[0].Batches != 6 {
		t.Errorf("%+v, %+v", s.Sources[0], s.Sinks[0])
	}

	shop.mu.Lock()
	shop.deaf = true
	shop.mu.Unlock()
	answered := make(chan error)
	go func() {
		_, err := c.Snapshot(t.Context(), control.SnapshotRequest{Tables: []string{"orders"}})
		answered <- err
	}()
	eventually(t, "the engine that is about to go is asked", func() bool {
		shop.mu.Lock()
		defer shop.mu.Unlock()
		return shop.ignored > 0
	})
	shop.mu.Lock()
	shop.deaf = false
	shop.mu.Unlock()
	r.control.failed(errLost)
	select {
	case err := <-answered:
		t.Fatalf("answered while no engine runs: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if s, err := c.Status(t.Context()); err != nil || s.Ready || s.Phase != control.Retrying || s.Sources[0].Phase != "stopped" {
		t.Errorf("%+v, %v", s, err)
	}
	r.control.enterForTest(control.Running)
	if err := <-answered; err != nil || len(shop.asked) != 1 {
		t.Errorf("%v, asked %d times", err, len(shop.asked))
	}
}

// enterForTest is enter as began does it.
func (c *controlled) enterForTest(p control.Phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(p)
}

// A source that cannot read tables again says so.
func TestControlWithoutAsker(t *testing.T) {
	shop := newFakeSource(fakeTable("public", "orders", true))
	r := fakeRunner(t.TempDir(), oldConfig{shop}, newFakeSource(), [2]string{"postgres", "discard"})
	c := runFake(t, r)
	_, err := c.Snapshot(t.Context(), control.SnapshotRequest{Tables: []string{"orders"}})
	if pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(err.Error(), "source.shop: its tables cannot be read again") {
		t.Error(err)
	}
}

// An order is given to a run that ends at once, too.
func TestOrderIsTaken(t *testing.T) {
	shop := newFakeSource(fakeTable("public", "orders", true))
	r := fakeRunner(t.TempDir(), shop, newFakeSource(), [2]string{"postgres", "discard"})
	o, err := newControlled(&r.builder).order(t.Context(), control.SnapshotRequest{Tables: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		eventually(t, "it is asked", func() bool { return len(shop.Entries()) > 0 })
		cancel()
	}()
	a, err := r.runOrder(ctx, o)
	if err != nil || len(a.Tables) != 1 {
		t.Errorf("%v, %v", a, err)
	}
	f := &follower{accepted: a, ended: map[int]control.Table{}}
	if !f.look(r.control.Status().Sources, time.Time{}) || f.result()[0].Status != snapshot.Done {
		t.Errorf("%+v", f.result())
	}
}

// A run for the sake of a request does not wait for ever for another process.
func TestOrderMeetsStandby(t *testing.T) {
	shop := newFakeSource(fakeTable("public", "orders", true))
	shop.standby, shop.deaf = true, true
	r := fakeRunner(t.TempDir(), shop, newFakeSource(), [2]string{"postgres", "discard"})
	r.patience = time.Millisecond
	o, err := newControlled(&r.builder).order(t.Context(), control.SnapshotRequest{Tables: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.runOrder(t.Context(), o)
	if pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(err.Error(), "another process reads") {
		t.Error(err)
	}
}

func TestFollower(t *testing.T) {
	first, ours, later := time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)
	table := func(status snapshot.Status, asked time.Time, queue ...time.Time) []control.Source {
		return []control.Source{{Node: control.Node{Address: "s"}, Tables: []control.Table{
			{Table: "t", Status: status, Asked: asked, Queue: queue, Estimate: 10, Rows: 5}}}}
	}
	now := time.Unix(100, 0)
	cases := []struct {
		name    string
		sources []control.Source
		at      time.Time
		ends    snapshot.Status // "": not yet
		says    string
	}{
		{"waits behind another", table(snapshot.Running, first, ours), now, "", "1 table waiting"},
		{"runs", table(snapshot.Running, ours), now, "", "t 50%, 5 rows"},
		{"done", table(snapshot.Done, ours), now, snapshot.Done, ""},
		{"failed", table(snapshot.Failed, ours), now, snapshot.Failed, ""},
		{"a later one runs", table(snapshot.Running, later), now, snapshot.Done, ""},
		{"not known yet", nil, now.Add(waitSeen), "", "1 table waiting"},
		{"cancelled with the one before it", func() []control.Source {
			s := table(snapshot.Cancelled, first)
			s[0].Tables[0].Ended = later
			return s
		}(), now, snapshot.Cancelled, ""},
		{"taken out of the queue", table(snapshot.Cancelled, first), now.Add(waitSeen + 1), snapshot.Cancelled, ""},
	}
	for _, c := range cases {
		f := &follower{accepted: control.Accepted{Tables: []control.AcceptedTable{{Source: "s", Table: "t", Asked: ours}}},
			seen: now, ended: map[int]control.Table{}}
		if ended := f.look(c.sources, c.at); ended != (c.ends != "") || ended && f.result()[0].Status != c.ends {
			t.Errorf("%s: %+v", c.name, f.result())
		}
		if text := f.text(); text != c.says {
			t.Errorf("%s: %q, want %q", c.name, text, c.says)
		}
	}
}
