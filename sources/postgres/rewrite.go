package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The policies about rewritten tables: ALTER TABLE ... ALTER COLUMN ... TYPE ... USING, or a table that
// was dropped and made anew. The server sends none of the rows that it changes so.
const (
	rewritesStop   = "stop"
	rewritesIgnore = "ignore"
)

// rewritePrefix begins the local names of the streams whose positions say that a table was rewritten
// there: the stop outlives the process, which would go on without a word when started again.
const rewritePrefix = "resnapshot/"

const rewriteHint = `What was there keeps its old values downstream. Ask for a snapshot of the table, give it ` +
	`snapshot = "when_needed", or, if the old values are right, set rewrites = "ignore"`

// The numbers of the types that a change is known for to keep values (pg_type.dat).
const (
	oidInt8, oidInt2, oidInt4, oidText = 20, 21, 23, 25
	oidFloat4, oidFloat8, oidNumeric   = 700, 701, 1700
	oidVarchar, oidVarbit              = 1043, 1562
	oidTime, oidTimestamp              = 1083, 1114
	oidTimestampTZ, oidTimeTZ          = 1184, 1266
)

// rewritten tells of columns whose type changed in a way that may have changed what is in them.
func (s *stream) rewritten(known, fresh *table) error {
	var changed []string
	for i := range known.Schema.Columns {
		name := known.Schema.Columns[i].Name
		old, now := known.Attribute(name), fresh.Attribute(name)
		if old != nil && now != nil && !widened(old.Type, now.Type) {
			changed = append(changed, fmt.Sprintf("%s from %s to %s", name, old.Type.Format, now.Type.Format))
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return s.resnapshot(fresh, "the type of "+strings.Join(changed, ", of ")+" was changed")
}

// remade tells of a table that takes the name of one that was there before.
func (s *stream) remade(fresh *table) error {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.OID != fresh.OID && t.String() == fresh.String() })
	if i < 0 {
		return nil
	}
	s.tables = slices.Delete(s.tables, i, i+1)
	return s.resnapshot(fresh, "it was dropped and made anew")
}

// resnapshot stops for a table whose rows downstream are not what they are here, unless that is said
// to be right.
func (s *stream) resnapshot(t *table, why string) error {
	if s.config.Rewrites == rewritesIgnore {
		s.env.Log.Warn("a table was rewritten: its rows downstream keep their old values", "table", t.String(),
			"why", why)
		return nil
	}
	if err := s.emit(); err != nil {
		return err
	}
	stream := pipeline.Stream(rewritePrefix + t.String())
	if !s.env.DryRun {
		if err := snapshot.SaveMark(s.ctx, s.out, stream, s.identity.position(s.endLSN)); err != nil {
			return err
		}
	}
	if s.live == nil || !t.again() {
		return stopped(t.String(), why)
	}
	s.env.Log.Warn("a table was rewritten: it is read again", "table", t.String(), "why", why)
	name := t.Schema.Name()
	s.set(t)
	s.void(name)
	s.fill(name)
	s.request(snapshot.Request{Table: name, Reason: snapshot.ForLost, Asked: time.Now().UTC(), Replace: true})
	return nil
}

// again reports whether the table may be read again without anybody asking.
func (t *table) again() bool {
	return (t.Policy == policyWhenNeeded || t.Policy == policyAlways) && len(t.Schema.Key) > 0
}

func stopped(table, why string) error {
	e := failed(pipeline.Environment, rewriteHint, "the table needs a new snapshot: %s", why)
	e.Table = table
	return e
}

// rewrites refuses to go on past a table that was rewritten, unless that is right, or its rows were read
// since, or will be: all of them by a snapshot that begins now, or its own beside the stream.
func (r *runner) rewrites(ctx context.Context, resumed bool, from pipeline.Checkpoint, out pipeline.Output) error {
	var known []pipeline.Stream
	for _, s := range from.Streams() {
		table, ok := strings.CutPrefix(string(s), rewritePrefix)
		if !ok {
			continue
		}
		known = append(known, s)
		if !resumed || r.config.Rewrites == rewritesIgnore {
			continue
		}
		e, _ := r.ledger.Entry(table)
		switch {
		case e.Status == snapshot.Done && e.Fence >= from[s]:
			continue
		case e.Status.Open(), r.source.asked.has(table):
		case r.mayReadAgain(table):
			r.ledger.Change(table, pending(snapshot.ForLost, true))
		default:
			return stopped(table, "it was rewritten")
		}
		known = known[:len(known)-1] // until it was read
	}
	return snapshot.Forget(ctx, out, known...)
}

func (r *runner) mayReadAgain(name string) bool {
	return slices.ContainsFunc(r.tables, func(t *table) bool { return t.String() == name && t.again() })
}

// widened reports whether every value of the old type is the same in the new one.
func widened(old, now pgtext.Type) bool {
	if old.OID != now.OID {
		return converts(old.OID, now)
	}
	if old.Mod == now.Mod || now.Mod == -1 {
		return true
	}
	switch {
	case old.Mod == -1:
		return false
	case old.OID == oidNumeric:
		scale, more := numericScale(now.Mod), numericScale(now.Mod)-numericScale(old.Mod)
		return scale >= 0 && more >= 0 && numericDigits(now.Mod)-numericDigits(old.Mod) >= more
	}
	switch old.OID {
	case oidVarchar, oidVarbit, oidTime, oidTimestamp, oidTimestampTZ, oidTimeTZ:
		return now.Mod > old.Mod
	}
	return false
}

// converts reports whether a type without modifier takes the values of another one as they are.
func converts(old uint32, now pgtext.Type) bool {
	if now.Mod != -1 {
		return false
	}
	switch now.OID {
	case oidInt4:
		return old == oidInt2
	case oidInt8:
		return old == oidInt2 || old == oidInt4
	case oidNumeric:
		return old == oidInt2 || old == oidInt4 || old == oidInt8
	case oidFloat8:
		return old == oidInt2 || old == oidInt4 || old == oidFloat4
	case oidText:
		return old == oidVarchar
	case oidVarchar:
		return old == oidText
	}
	return false
}

// A numeric's modifier holds both, after an offset of 4; the scale is a signed number of 11 bits
// (numeric.c, make_numeric_typmod).
func numericDigits(mod int32) int32 { return (mod - 4) >> 16 & 0xffff }
func numericScale(mod int32) int32  { return ((mod-4)&0x7ff ^ 1024) - 1024 }
