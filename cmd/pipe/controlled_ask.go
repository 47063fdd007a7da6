package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The bounds of what may be asked.
const (
	maxPatterns = 1000
	maxWhere    = 64 << 10 // bytes: it becomes a part of the saved state
	maxBy       = 200      // bytes
)

// refuseRequest is an error of who asked.
func refuseRequest(hint, format string, args ...any) error {
	return &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf(format, args...), Hint: hint}
}

// order is what was asked for and found to be right.
type order struct {
	picked []pick
	left   []control.LeftTable // that patterns name, and that cannot be read
	asked  time.Time
	say    func(context.Context, *config.Node, snapshot.Asker) error
}

// Snapshot implements control.Pipeline.
func (c *controlled) Snapshot(ctx context.Context, q control.SnapshotRequest) (control.Accepted, error) {
	if err := c.refused(); err != nil {
		return control.Accepted{}, err
	}
	o, err := c.order(ctx, q)
	if err != nil {
		return control.Accepted{}, err
	}
	return c.tell(ctx, o)
}

// order checks a request.
func (c *controlled) order(ctx context.Context, q control.SnapshotRequest) (*order, error) {
	if err := checkRequest(&q); err != nil {
		return nil, err
	}
	picked, err := c.pick(ctx, q.Tables, q.Source)
	if err != nil {
		return nil, err
	}
	picked, left, err := readable(picked, q.Tables)
	if err != nil {
		return nil, err
	}
	// Each request is identified by its time, which JSON keeps.
	o := &order{picked: picked, left: left, asked: time.Now().UTC().Truncate(time.Microsecond)}
	by := make(map[*config.Node][]snapshot.Request)
	for _, p := range picked {
		if err := checkWhere(q.Where, p); err != nil {
			return nil, err
		}
		if q.Replace {
			if err := c.checkReplace(p); err != nil {
				return nil, err
			}
		}
		by[p.node] = append(by[p.node], snapshot.Request{Table: p.schema.Name(), Reason: snapshot.ForRequest, By: q.By,
			Asked: o.asked, Where: q.Where, Replace: q.Replace})
	}
	o.say = func(ctx context.Context, n *config.Node, a snapshot.Asker) error { return a.Ask(ctx, by[n]...) }
	return o, nil
}

// Cancel implements control.Pipeline.
func (c *controlled) Cancel(ctx context.Context, q control.CancelRequest) (control.Accepted, error) {
	if err := c.refused(); err != nil {
		return control.Accepted{}, err
	}
	o, err := c.cancelOrder(ctx, q)
	if err != nil {
		return control.Accepted{}, err
	}
	return c.tell(ctx, o)
}

func (c *controlled) cancelOrder(ctx context.Context, q control.CancelRequest) (*order, error) {
	picked, err := c.pick(ctx, q.Tables, q.Source)
	if err != nil {
		return nil, err
	}
	by := make(map[*config.Node][]string)
	for _, p := range picked {
		by[p.node] = append(by[p.node], p.schema.Name())
	}
	return &order{picked: picked, say: func(ctx context.Context, n *config.Node, a snapshot.Asker) error {
		return a.Cancel(ctx, by[n]...)
	}}, nil
}

// tell gives an order to each of its sources.
func (c *controlled) tell(ctx context.Context, o *order) (control.Accepted, error) {
	out := control.Accepted{Left: o.left}
	told := make(map[*config.Node]bool)
	for _, p := range o.picked {
		out.Tables = append(out.Tables, control.AcceptedTable{
			Source: p.node.Address, Table: p.schema.Name(), Asked: o.asked})
		if told[p.node] {
			continue
		}
		told[p.node] = true
		err := c.asker(ctx, p.node.Address, func(ctx context.Context, a snapshot.Asker) error {
			return o.say(ctx, p.node, a)
		})
		if err != nil {
			return control.Accepted{}, at(p.node.Address, err)
		}
	}
	return out, nil
}

// asker calls f with the source at an address, of the engine that runs. Where that engine ends meanwhile,
// f is called again with the next one's: what is asked twice is read twice, and does no harm.
func (c *controlled) asker(ctx context.Context, address string, f func(context.Context, snapshot.Asker) error) error {
	var last error
	for {
		e, phase, changed := c.now()
		if phase == control.Stopping {
			return &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("the pipeline is stopping")}
		}
		if e != nil {
			a, ok := e.Source(address).(snapshot.Asker)
			if !ok {
				return refuseRequest("Stop the pipeline, delete the table's rows downstream where needed, and begin it anew.",
					"its tables cannot be read again while it runs")
			}
			err := until(ctx, changed, func(ctx context.Context) error { return f(ctx, a) })
			if err == nil || pipeline.ClassOf(err) != pipeline.Retryable {
				return late(ctx, err)
			}
			last = err
		}
		select {
		case <-changed:
			last = nil
		case <-ctx.Done():
			return cmp.Or(last, late(ctx, ctx.Err()))
		}
	}
}

// errEngineEnded ends what is asked of an engine that is none any more.
var errEngineEnded = &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("the engine has ended")}

// until calls f with a context that ends when changed is closed, too; then the error is Retryable.
func until(ctx context.Context, changed <-chan struct{}, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-changed:
			cancel(errEngineEnded)
		case <-done:
		}
	}()
	err := f(ctx)
	close(done)
	<-watched
	if err != nil && errors.Is(context.Cause(ctx), errEngineEnded) {
		return errEngineEnded
	}
	return err
}

// late says what it means that time ran out.
func late(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return &pipeline.Error{Class: pipeline.Retryable,
		Err:  fmt.Errorf("the source did not take it in time: %w", ctx.Err()),
		Hint: "It may be connecting, waiting as a standby, or in its first snapshot: see pipe status."}
}

func checkRequest(q *control.SnapshotRequest) error {
	switch {
	case q.Where != "" && q.Replace:
		return refuseRequest("Leave one of them out.",
			"where and replace exclude each other: rows that the condition leaves out would be deleted downstream")
	case len(q.Where) > maxWhere:
		return refuseRequest("", "the condition is longer than %d bytes", maxWhere)
	case len(q.By) > maxBy:
		return refuseRequest("", "the name of who asks is longer than %d bytes", maxBy)
	}
	return nil
}

// checkWhere compiles a condition for a table.
func checkWhere(where string, p pick) error {
	if where == "" {
		return nil
	}
	x, diags := hclsyntax.ParseExpression([]byte(where), "where", hcl.InitialPos)
	var err error
	if diags.HasErrors() {
		err = diags
	} else {
		_, err = expr.CompileWhere(x, p.schema, nil)
	}
	if err == nil {
		return nil
	}
	return &pipeline.Error{Node: p.node.Address, Table: p.schema.Name(), Class: pipeline.Input,
		Err:  fmt.Errorf("where: %s", problemText(err)),
		Hint: "A condition looks like row.id >= 100 && row.status != \"draft\"."}
}

// problemText says a diagnostic in one line, with its column.
func problemText(err error) string {
	diags := diagnosticsIn(err)
	if len(diags) == 0 {
		return err.Error()
	}
	d := diags[0]
	text := d.Summary + ": " + d.Detail
	if d.Subject != nil {
		text = fmt.Sprintf("column %d: %s", d.Subject.Start.Column, text)
	}
	return text
}
