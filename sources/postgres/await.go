package postgres

import "context"

// Await waits, as a standby, while another process uses the slot. It implements pipeline.Exclusive.
func (s *Source) Await(ctx context.Context) error {
	if s.env.DryRun {
		return nil // a dry run has a slot of its own
	}
	r, err := newRunner(s)
	if err != nil {
		return s.named(err)
	}
	defer r.close()
	if r.admin, err = s.config.connect(ctx); err == nil {
		err = r.sign(ctx, r.admin)
	}
	if err == nil {
		_, err = r.awaitSlot(ctx)
	}
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return s.named(s.config.classified(err))
}
