package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestSupervise(t *testing.T) {
	lost := &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("lost")}
	refused := &pipeline.Error{Class: pipeline.Environment, Err: errors.New("refused")}
	policy := Retry{First: time.Second, Max: 8 * time.Second, Attempts: 5}
	cases := []struct {
		name     string
		fail     func(n int) error // of the n-th run, from 1
		progress func(n int) bool
		runs     int
		want     error
		min, max time.Duration
	}{
		{"ends well", func(int) error { return nil }, nil, 1, nil, 0, 0},
		{"an error that stays", func(int) error { return refused }, nil, 1, refused.Err, 0, 0},
		{"begins again", func(n int) error {
			if n < 4 {
				return lost
			}
			return nil
		}, nil, 4, nil, 3500 * time.Millisecond, 7 * time.Second},
		{"gives up", func(int) error { return lost }, nil, 6, lost.Err, 11500 * time.Millisecond, 23 * time.Second},
		{"progress", func(n int) error {
			if n < 20 {
				return lost
			}
			return nil
		}, func(n int) bool { return n%2 == 0 }, 20, nil, 9 * time.Second, 40 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs, start, told := 0, time.Now(), 0
				policy := policy
				policy.Failed = func(err error) {
					if told++; !errors.Is(err, lost.Err) {
						t.Errorf("told of %v", err)
					}
				}
				err := Supervise(t.Context(), policy, quiet, func(context.Context) (*Engine, error) {
					runs++
					n := runs
					src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
						if c.progress != nil && c.progress(n) {
							if err := errors.Join(emit(ctx, out, "wal", 1, pos(1)), out.Drain(ctx)); err != nil {
								return err
							}
						}
						return c.fail(n)
					})
					return New(graph(src, &testSink{}, &testStore{}))
				})
				took := time.Since(start)
				if told != runs-1 {
					t.Errorf("told of %d failures of %d runs", told, runs)
				}
				if runs != c.runs || !errors.Is(err, c.want) || took < c.min || took > c.max {
					t.Errorf("%d runs in %v, %v; want %d in %v to %v, %v", runs, took, err, c.runs, c.min, c.max, c.want)
				}
			})
		})
	}
}

func TestSuperviseStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		err := Supervise(ctx, DefaultRetry(), quiet, func(context.Context) (*Engine, error) {
			return nil, &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("not there yet")}
		})
		if err != nil {
			t.Errorf("stopped in a pause with %v", err)
		}
		err = Supervise(ctx, DefaultRetry(), quiet, func(ctx context.Context) (*Engine, error) {
			return nil, &pipeline.Error{Class: pipeline.Environment, Err: ctx.Err()}
		})
		if err != nil {
			t.Errorf("stopped while building with %v", err)
		}
	})
}
