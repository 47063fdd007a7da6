package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

// heartbeat writes a logical message from time to time, so that a database without changes has WAL
// to confirm; the function returned ends it. A failure is logged and tried again: it costs retained
// WAL, not correctness. The content is a nonce: any role may write such a message, so none is trusted.
func (r *runner) heartbeat(ctx context.Context) (stop func()) {
	if r.config.Heartbeat == 0 || r.env.DryRun || r.server.Standby {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, r.config.Heartbeat) == nil {
			if err := r.beat(ctx); err != nil && ctx.Err() == nil {
				r.env.Log.Warn("heartbeat failed", "error", err)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (r *runner) beat(ctx context.Context) error {
	conn, err := r.config.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return execute(ctx, conn, "heartbeat", "SELECT pg_catalog.pg_logical_emit_message(false, 'pipe.heartbeat', "+
		quoteLiteral(hex.EncodeToString(nonce[:]))+")")
}
