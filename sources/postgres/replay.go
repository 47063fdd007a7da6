package postgres

import (
	"context"
	"log/slog"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/postgres/pgoutput"
)

// Replay turns recorded messages of a replication stream into the batches that a Source would emit,
// without a server. Not safe for concurrent use.
type Replay struct {
	stream *stream
	dec    pgoutput.Decoder
}

// ReplayTable describes a table of a recorded stream, as the catalogue would.
type ReplayTable struct {
	OID             uint32
	Namespace, Name string
	Columns         []ReplayColumn
	Key             []string // columns of the primary key, the replica identity
}

// ReplayColumn is one column of a ReplayTable.
type ReplayColumn struct {
	Name    string
	Type    pgtext.Type
	NotNull bool
}

// NewReplay returns a Replay of tables of a database; their batches go to out.
func NewReplay(ctx context.Context, database string, out pipeline.Output, tables ...ReplayTable) (*Replay, error) {
	config := &Config{Snapshot: policyNever}
	source := &Source{config: config, desk: snapshot.NewDesk()}
	source.saved = make(chan struct{}, 1)
	settings, err := newSettings(config)
	if err != nil {
		return nil, err
	}
	r := &runner{source: source, config: config, settings: settings, catalog: &catalog{Database: database}}
	r.env.Log = slog.New(slog.DiscardHandler)
	for i := range tables {
		t, err := settings.table(r.catalog, tables[i].relation())
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, t)
	}
	return &Replay{stream: &stream{
		runner: r, ctx: ctx, out: out, relations: map[uint32]*streamed{}, messages: messageSchema(database),
	}}, nil
}

func (t *ReplayTable) relation() *relation {
	r := &relation{OID: t.OID, Namespace: t.Namespace, Name: t.Name, Kind: kindTable, Identity: identityDefault}
	for i, c := range t.Columns {
		r.Columns = append(r.Columns, attribute{Num: int16(i + 1), Name: c.Name, Type: c.Type, NotNull: c.NotNull})
	}
	for _, name := range t.Key {
		if a := r.Attribute(name); a != nil {
			r.Primary = append(r.Primary, a.Num)
		}
	}
	return r
}

// Message handles the content of one pgoutput message (PostgreSQL documentation, "Logical Replication
// Message Formats") that lies at lsn. Full batches are emitted; Flush emits the last one. Transactions
// that were streamed before their commit are not taken.
func (p *Replay) Message(lsn uint64, data []byte) error {
	if len(data) == 0 || data[0] != byte(pgoutput.Relation) && data[0] != byte(pgoutput.StreamStart) {
		return p.stream.change(lsn, data)
	}
	if err := p.dec.Decode(data); err != nil {
		return &pipeline.Error{Class: pipeline.Internal, Err: err}
	}
	if p.dec.Kind == pgoutput.StreamStart {
		return failed(pipeline.Input, "Record with streaming off",
			"a transaction that was streamed before its commit")
	}
	if t := p.stream.table(p.dec.RelationID); t != nil && !t.fits(&p.dec) {
		return failed(pipeline.Input, "Describe the table as it was when the messages were recorded",
			"table %s differs from its description in the stream", t)
	}
	return p.stream.change(lsn, data)
}

// Flush emits what is in hand.
func (p *Replay) Flush() error { return p.stream.emit() }
