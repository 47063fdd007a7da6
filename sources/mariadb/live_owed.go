package mariadb

import (
	"context"
	"encoding/hex"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The bounds of what is owed: keys of a table, beyond which the whole table is read once more, and keys
// that are looked for in one chunk.
const (
	maxOwed  = 1 << 16
	owedEach = 256
)

// owed are the rows of a table of which the stream brought a change without all values while what is
// downstream may not have had the row: under binlog_row_image MINIMAL or NOBLOB. They are read once more.
type owed struct {
	keys map[string][]string
	all  bool
}

// owe remembers a row.
func (l *live) owe(name string, row *pipeline.Row) {
	key, ok := keyTexts(row.Schema, row.Values)
	text := string(snapshot.AppendKey(nil, row.Schema, row.Values))
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.owed[name]
	if o == nil {
		o = &owed{keys: map[string][]string{}}
		l.owed[name] = o
	}
	if !ok || len(o.keys) >= maxOwed {
		o.all = true
		clear(o.keys)
		return
	}
	if !o.all {
		o.keys[text] = key
	}
}

// forgive forgets what is owed: the whole table is going to be read.
func (l *live) forgive(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.owed, name)
}

// more returns what is to be read once more.
func (l *live) more(_ context.Context, q *snapshot.Request) ([]snapshot.Segment, error) {
	l.mu.Lock()
	o, t := l.owed[q.Table], l.tables[q.Table]
	delete(l.owed, q.Table)
	l.mu.Unlock()
	if o == nil || t == nil || q.Filled() {
		return nil, nil
	}
	if k := t.keyset(); o.all && k != nil {
		return []snapshot.Segment{{Part: k.part(t)}}, nil
	}
	var out []snapshot.Segment
	var keys [][]string
	for _, key := range o.keys {
		if keys = append(keys, key); len(keys) == owedEach {
			out, keys = append(out, snapshot.Segment{Part: q.Table, Keys: keys}), nil
		}
	}
	if len(keys) > 0 {
		out = append(out, snapshot.Segment{Part: q.Table, Keys: keys})
	}
	return out, nil
}

// keyTexts renders the key of a row for withKeys; ok is false where a value has no text that finds it
// again.
func keyTexts(s *pipeline.Schema, values []pipeline.Value) (texts []string, ok bool) {
	for _, i := range s.Key {
		v := values[i]
		switch v.Kind() {
		case pipeline.Absent, pipeline.Null, pipeline.Interval, pipeline.Other, pipeline.Float32:
			return nil, false
		case pipeline.Bytes:
			texts = append(texts, `\x`+hex.EncodeToString(v.Bytes()))
		default:
			texts = append(texts, v.String())
		}
	}
	return texts, len(texts) > 0
}
